/*
 * Where application processors begin: in real mode at AP_PLACE, to which ap_trampoline is copied.  They end in ap_main()
 * in the guest's mode, on the stack that ap_stack names.
 */
#define AP_PLACE 0x8000
#define AT(label) (label - ap_trampoline + AP_PLACE)

        .section .note.GNU-stack, "", @progbits
        .text
        .global ap_trampoline, ap_trampoline_end
        .code16
ap_trampoline:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        lgdtl AT(ap_gdt_register)
        movl %cr0, %eax
        andl $0x9fffffff, %eax          /* caches on */
        orl $0x21, %eax                 /* NE, PE */
        movl %eax, %cr0
        ljmpl $8, $AT(1f)
        .code32
1:      movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        movl %eax, %ss
#ifdef __x86_64__
        movl %cr4, %eax
        orl $0x20, %eax
        movl %eax, %cr4
        movl $boot_pml4, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x100, %eax
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax
        movl %eax, %cr0
        ljmpl $0x18, $2f
        .align 4
ap_gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
ap_gdt_register:
        .word 31
        .long AT(ap_gdt)
ap_trampoline_end:
        .code64
2:      movq ap_stack, %rsp
#else
        ljmpl $8, $2f
        .align 4
ap_gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
ap_gdt_register:
        .word 23
        .long AT(ap_gdt)
ap_trampoline_end:
2:      movl ap_stack, %esp
#endif
        call ap_main
1:      hlt
        jmp 1b
