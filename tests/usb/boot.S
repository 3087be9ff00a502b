# A boot sector that proves what a BIOS does with a disk: it reads sector 1 by INT 13h, AH=42h, writes it to sector 2 by
# AH=43h, sends it to COM1, and ends the emulator through isa-debug-exit at 501h.
    .code16
    .globl _start
_start:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    mov %dl, drive
    mov $0x42, %ah
    mov $packet, %si
    int $0x13
    jc failed
    movb $2, lba
    mov drive, %dl
    mov $0x4300, %ax
    mov $packet, %si
    int $0x13
    jc failed
    mov $0x8000, %si
    mov $0x3f8, %dx
next:
    lodsb
    test %al, %al
    jz end
    out %al, %dx
    jmp next
failed:
    mov $0x3f8, %dx
    mov $'!', %al
    out %al, %dx
end:
    mov $0x501, %dx
    xor %al, %al
    out %al, %dx
    hlt
drive:
    .byte 0
    .balign 4
packet:
    .byte 16, 0
    .word 1, 0x8000, 0
lba:
    .quad 1
    .org 510
    .word 0xaa55
