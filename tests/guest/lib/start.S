/*
 * From the Multiboot entry (flat 32-bit protected mode, paging off; Multiboot Specification 0.6.96, 3.2) to
 * guest_main() in the mode that the guest is built for.
 */
#define MULTIBOOT_FLAGS 2 /* memory information wanted */

        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, MULTIBOOT_FLAGS, -(0x1badb002 + MULTIBOOT_FLAGS)

        .section .note.GNU-stack, "", @progbits
        .text
        .code32
        .global _start
_start:
        cld
        movl %eax, multiboot_magic
        movl %ebx, multiboot_info
        movl $boot_stack_top, %esp
        pushl $2
        popfl
#ifdef __x86_64__
        movl $0x80000000, %eax
        cpuid
        cmpl $0x80000001, %eax
        jb lacking
        movl $0x80000001, %eax
        cpuid
        btl $29, %edx
        jnc lacking
        /* PML4 and PDPT of one and four entries, four page directories of 2 MiB pages; U, W, P */
        movl $boot_pdpt + 7, boot_pml4
        movl $boot_pd + 7, boot_pdpt
        movl $boot_pd + 0x1007, boot_pdpt + 8
        movl $boot_pd + 0x2007, boot_pdpt + 16
        movl $boot_pd + 0x3007, boot_pdpt + 24
        movl $boot_pd, %edi
        movl $0x87, %eax
1:      movl %eax, (%edi)
        movl $0, 4(%edi)
        addl $8, %edi
        addl $0x200000, %eax
        jnc 1b
        movl %cr4, %eax
        orl $0x20, %eax                 /* PAE */
        movl %eax, %cr4
        movl $boot_pml4, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x100, %eax                /* LME */
        wrmsr
        movl %cr0, %eax
        orl $0x80000021, %eax           /* PG, NE, PE */
        movl %eax, %cr0
        lgdtl start_gdt_register
        ljmpl $8, $1f
        .code64
1:      movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        movl %eax, %ss
        movq $boot_stack_top, %rsp
        xorl %ebp, %ebp
        call guest_start
        hlt
        .code32
lacking:
        movl $lacking_text, %esi
1:      lodsb
        testb %al, %al
        jz 3f
        movb %al, %cl
2:      movw $0x3fd, %dx
        inb %dx, %al
        testb $0x20, %al
        jz 2b
        movw $0x3f8, %dx
        movb %cl, %al
        outb %al, %dx
        jmp 1b
3:      xorl %eax, %eax
        outl %eax, $0xf4
        hlt
        .code64
        .data
lacking_text: .asciz "SKIP all: the processor lacks long mode\nSUMMARY: 0 passed, 0 failed\n"
        .align 8
start_gdt:
        .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
start_gdt_register:
        .word 23
        .long start_gdt
        .bss
        .align 4096
        .global boot_pml4, boot_pdpt, boot_pd
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4 * 4096
#else
        movl %cr0, %eax
        orl $0x20, %eax                 /* NE */
        movl %eax, %cr0
        xorl %ebp, %ebp
        call guest_start
        hlt
#endif
        .data
        .global multiboot_magic, multiboot_info
multiboot_magic: .long 0
multiboot_info: .long 0
        .bss
        .align 4096
        .skip 32768
        .global boot_stack_top
boot_stack_top:
