/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlsym: ask find_by_name for a replacement, and otherwise jump to the C library's dlsym with the
 * caller's return address in place. That address decides what RTLD_NEXT and RTLD_DEFAULT mean, so a
 * function in C cannot stand between.
 */
#if defined(__x86_64__)
        .text
        .globl  dlsym
        .type   dlsym, @function
dlsym:
        .cfi_startproc
        endbr64
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        pushq   %rsi
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq    24(%rsp), %rdx          /* the caller */
        leaq    (%rsp), %rcx            /* where to put the C library's dlsym */
        call    find_by_name
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %rsi
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        testq   %rax, %rax
        jnz     1f
        jmp     *%rdx
1:      ret
        .cfi_endproc
        .size   dlsym, . - dlsym
#elif defined(__aarch64__)
        .text
        .globl  dlsym
        .type   dlsym, %function
dlsym:
        .cfi_startproc
        bti     c
        stp     x29, x30, [sp, #-48]!
        .cfi_adjust_cfa_offset 48
        .cfi_offset x29, -48
        .cfi_offset x30, -40
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        mov     x2, x30
        add     x3, sp, #32
        bl      find_by_name
        mov     x9, x0
        ldr     x10, [sp, #32]
        ldp     x0, x1, [sp, #16]
        ldp     x29, x30, [sp], #48
        .cfi_adjust_cfa_offset -48
        .cfi_restore x29
        .cfi_restore x30
        cbnz    x9, 1f
        br      x10
1:      mov     x0, x9
        ret
        .cfi_endproc
        .size   dlsym, . - dlsym
#else
#error "no dlsym for this processor"
#endif
        .section .note.GNU-stack, "", %progbits
