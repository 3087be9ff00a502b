/*
 * A boot sector that starts the Linux kernel behind it on the disk (bzImage from sector 1) by the real-mode boot protocol
 * (Documentation/x86/boot.rst): so that a debugger can follow from the first instruction of the firmware into the kernel.
 */
#define SETUP 0x9000                    /* segment */
#define CHUNK 64                        /* sectors read at a time, to 10000h */
        .text
        .code16
        .globl _start
_start: cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7c00, %sp
        ljmp $0, $1f
1:      sti
        movb %dl, drive

        movw $1, count                  /* the header says how long the setup code is */
        movl $SETUP << 16, buffer
        call read
        movw $SETUP, %ax
        movw %ax, %fs
        movzbw %fs:0x1f1, %ax
        testw %ax, %ax
        jnz 1f
        movw $4, %ax
1:      movw %ax, count
        movl $(SETUP << 16) + 0x200, buffer
        call read

        movb $0xff, %fs:0x210           /* type_of_loader */
        orb $0x80, %fs:0x211            /* CAN_USE_HEAP */
        movw $0xde00, %fs:0x224         /* heap_end_ptr */
        movl $(SETUP << 4) + 0xe000, %fs:0x228 /* cmd_line_ptr */
        movw %fs, %ax
        movw %ax, %es
        movw $command_line, %si
        movw $0xe000, %di
        movw $command_line_end - command_line, %cx
        rep movsb

        movl %fs:0x1f4, %ebx            /* syssize, in paragraphs */
        addl $31, %ebx
        shrl $5, %ebx
        movl $0x100000, %edi
next:   movl $CHUNK, %eax
        cmpl %ebx, %eax
        jb 1f
        movl %ebx, %eax
1:      movw %ax, count
        subl %eax, %ebx
        movl $0x1000 << 16, buffer
        call read
        call copy
        testl %ebx, %ebx
        jnz next

        cli
        movw $SETUP, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %fs
        movw %ax, %gs
        movw %ax, %ss
        movw $0xe000, %sp
        .globl setup_jump
setup_jump:
        ljmp $SETUP + 0x20, $0

/* Reads what the packet says, and moves its place on the disk along. */
read:   pushal
        movb $0x42, %ah
        movb drive, %dl
        movw $packet, %si
        int $0x13
        jc failed
        movzwl count, %eax
        addl %eax, sector
        popal
        ret
failed: hlt
        jmp failed

/* A chunk to edi, which moves on, through a segment whose limit is left over from protected mode. */
copy:   pushl %ebx
        cli
        lgdt gdt_pointer
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        movw $8, %dx
        movw %dx, %es
        andb $0xfe, %al
        movl %eax, %cr0
        xorw %dx, %dx
        movw %dx, %es
        sti
        movl $0x10000, %esi
        movl $CHUNK * 128, %ecx
1:      movl %es:(%esi), %eax
        movl %eax, %es:(%edi)
        addl $4, %esi
        addl $4, %edi
        decl %ecx
        jnz 1b
        popl %ebx
        ret

        .balign 4
packet: .byte 16, 0
count:  .word 0
buffer: .long 0
sector: .quad 1
gdt:    .quad 0, 0x00cf93000000ffff
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long gdt
drive:  .byte 0
command_line:
        .asciz "nokaslr console=ttyS0"
command_line_end:
        .org 510
        .word 0xaa55
