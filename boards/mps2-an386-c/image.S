/* The image that the host rendered: raw RGB, rows from the top. */
    .section .rodata.image, "a", %progbits
    .balign 16
    .global image_pixels
    .type image_pixels, %object
image_pixels:
    .incbin "image.rgb"
    .global image_end
image_end:
    .size image_pixels, . - image_pixels
