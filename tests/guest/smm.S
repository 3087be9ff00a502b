/*
 * The SMI handler, which is entered in 16-bit mode at SMBASE + 8000h with flat segments but CS (SDM vol. 3C 32.5).  It
 * copies its state save area to the box, notes what it finds, carries out the box's patch of one dword of the save
 * area, and leaves.
 */
        .section .note.GNU-stack, "", @progbits
        .data
        .global smm_handler, smm_handler_end
        .code16
smm_handler:
        movl $smm_box, %edi
        movl %cr0, %eax
        movl %eax, 4(%edi)
        movl %cr4, %eax
        movl %eax, 8(%edi)
        movw %cs, %ax
        movzwl %ax, %eax
        movl %eax, 12(%edi)
        movw %ds, %ax
        movzwl %ax, %eax
        movl %eax, 16(%edi)
        movl %esp, 20(%edi)
        xorl %ebx, %ebx
        movw %cs, %bx
        shll $4, %ebx                   /* SMBASE, as far as CS holds it */
        movl %ebx, 24(%edi)
        leal 0xfe00(%ebx), %esi
        leal 64(%edi), %edi
        movl $128, %ecx
        cld
        addr32 rep movsl
        movl $smm_box, %edi
        movl 28(%edi), %eax             /* offset of the dword to patch, or 0 */
        testl %eax, %eax
        jz 1f
        addl %ebx, %eax
        movl 32(%edi), %edx
        movl %edx, (%eax)
1:      incl (%edi)
        rsm
smm_handler_end:

        .bss
        .global smm_box
        .align 16
smm_box: .skip 64 + 512
