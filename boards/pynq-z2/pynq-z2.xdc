# PYNQ-Z2. Clock, reset, DDR and the fixed pins are the processing system's; the design has one pin of its own: LED LD0 is lit
# while there are logits to read through the register map.
set_property -dict {PACKAGE_PIN R14 IOSTANDARD LVCMOS33} [get_ports led_attention]
set_false_path -to [get_ports led_attention]
