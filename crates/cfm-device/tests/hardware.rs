//! The driver's numbers are those of the register map's page and of the hardware's sources, which are outside of the package.

#[path = "../src/protocol.rs"]
#[allow(dead_code)]
mod protocol;

use protocol::*;

const PAGE: &str = include_str!("../../../hls/REGISTERS.md");

/// The text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).expect(before);
    rest.split_once(after).expect(after).0
}

/// The numbers of a list like `A = 1, B = 8'h2F`.
fn assignments(list: &str) -> impl Iterator<Item = (&str, u32)> {
    list.split(',').map(|assignment| {
        let (name, value) = assignment.split_once('=').expect(assignment);
        let value = value.trim();
        let number = match value.rsplit_once("'h") {
            Some((_, hex)) => u32::from_str_radix(hex, 16),
            None => value.rsplit("'d").next().unwrap_or(value).parse(),
        };
        (name.trim(), number.expect(value))
    })
}

#[test]
fn registers_are_those_of_the_page() {
    let registers = [
        ("ID", Register::ID),
        ("VERSION", Register::VERSION),
        ("FOLDING", Register::FOLDING),
        ("CONTROL", Register::CONTROL),
        ("STATUS", Register::STATUS),
        ("FINGERPRINT", Register::FINGERPRINT),
        ("FRAMES", Register::FRAMES),
        ("CONFIG_ADDRESS", Register::CONFIG_ADDRESS),
        ("CONFIG_CHECK", Register::CONFIG_CHECK),
        ("EXTERNAL_ADDRESS", Register::EXTERNAL_ADDRESS),
        ("IMAGE_CHANNELS", Register::IMAGE_CHANNELS),
        ("IMAGE_ROW_BYTES", Register::IMAGE_ROW_BYTES),
    ];
    for (name, register) in registers {
        let row = format!("\n| {} | {name} | r", register.0);
        assert!(PAGE.contains(&row), "{row}");
    }
    let memories = Register::FEATURE_WORDS.0;
    let memories = format!(
        "\n| {memories}, {}, {} | FEATURE_WORDS, WEIGHT_WORDS, CHANNELS | r |",
        memories + 1,
        memories + 2
    );
    assert!(PAGE.contains(&memories), "{memories}");
    let others = Register::STORE_WORDS.0;
    let others = format!("\n| {others}, {} | STORE_WORDS, SIDE | r |", others + 1);
    assert!(PAGE.contains(&others), "{others}");
    assert!(PAGE.contains(&format!("\n| {} | UNITS | r |", Register::UNITS.0)));
    let cycles = format!("\n| {} to 10 | CYCLES, BUSY, ", Register::CYCLES.0);
    assert!(PAGE.contains(&cycles));
    assert!(PAGE.contains(&format!("| 0 | ID | r | `0x{:08X}`", Register::ENGINE_ID)));
    assert!(PAGE.contains("\n| 16 + p | SEQUENCE |") && PAGE.contains("\n| 24 + p | SPACE |"));
}

#[test]
fn ports_are_those_of_the_page_and_of_the_hardware() {
    let hardware = include_str!("../../../hls/rtl/engine_registers.sv");
    let hardware = between(hardware, "localparam CONFIG", ";");
    let ports = [
        ("CONFIG", Port::Config),
        ("IMAGE", Port::Image),
        ("MASKS", Port::Masks),
        ("EXTERNAL", Port::External),
        ("LOGITS", Port::Logits),
    ];
    let hardware = format!("CONFIG{hardware}");
    let numbers = ports.map(|(name, port)| (name, port as u32));
    assert!(assignments(&hardware).eq(numbers));
    for (name, number) in numbers {
        assert!(
            PAGE.contains(&format!("\n| {number} | {name} | ")),
            "{name}"
        );
        assert_eq!(
            u32::from(Register::sequence(ports[number as usize].1).0),
            16 + number
        );
        assert_eq!(
            u32::from(Register::space(ports[number as usize].1).0),
            24 + number
        );
    }
    assert_eq!(ports.len(), Port::COUNT);
}

#[test]
fn bytes_of_the_spi_protocol_are_those_of_the_hardware() {
    let hardware = include_str!("../../../hls/rtl/spi_slave.sv");
    let answers = format!("OK{}", between(hardware, "localparam OK", ";"));
    let ours = [
        ("OK", OK),
        ("REPEATED", REPEATED),
        ("BAD_CRC", BAD_CRC),
        ("BUSY", BUSY),
        ("SEQUENCE", SEQUENCE),
        ("REQUEST", REQUEST),
    ];
    assert!(assignments(&answers).eq(ours.map(|(name, byte)| (name, byte.into()))));
    let requests = format!("W{}", between(hardware, "localparam W", ";"));
    let ours = [("W", WRITE), ("R", READ), ("P", PUSH), ("G", GET)];
    assert!(assignments(&requests).eq(ours.map(|(name, byte)| (name, byte.into()))));
}
