/* A Multiboot kernel that says at its first instructions that it runs, on the debug console, and ends the emulator. */
        .section .note.GNU-stack, "", @progbits
        .text
        .code32
        .align 4
        .long 0x1badb002, 0, -0x1badb002
        .globl _start
_start: movl $text, %esi
        movl $text_end - text, %ecx
        movl $0xe9, %edx
        rep outsb
        movb $0, %al
        outb %al, $0xf4
1:      hlt
        jmp 1b
text:   .ascii "BENCH up\nBENCH done\n"
text_end:
