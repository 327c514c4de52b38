/* SPDX-License-Identifier: Apache-2.0 */
/* Drop capabilities and system calls; see confine.h. */
#include "confine.h"

#include "array.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define X32_CALLS 0x40000000u /* the second table of x86-64 */

/* The calls of confine_calls: the first ones always, the last ones with `mounts`. */
static const uint32_t denied[] = {
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_quotactl,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    SYS_personality,
    SYS_vhangup,
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};
static const uint32_t denied_mounts[] = {
    SYS_mount,   SYS_umount2,   SYS_pivot_root,    SYS_chroot, SYS_unshare,
    SYS_setns,   SYS_open_tree, SYS_move_mount,    SYS_fsopen, SYS_fsconfig,
    SYS_fsmount, SYS_fspick,    SYS_mount_setattr,
};

int confine_capabilities(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    for (unsigned long number = 0; number < 64; number++) {
        bool kept = permitted >> number & 1;
        if (!kept && prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
            prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &header, data) != 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_COUNT(data); i++) {
        data[i].permitted &= (uint32_t)(permitted >> (32 * i));
        data[i].effective = data[i].permitted & (uint32_t)(effective >> (32 * i));
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

void confine_no_new_privileges(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

#ifdef ARCH
struct filter {
    struct sock_filter code[2 * (ARRAY_COUNT(denied) + ARRAY_COUNT(denied_mounts)) + 8];
    unsigned short count;
};

static void add(struct filter *filter, uint16_t code, uint8_t if_true, uint8_t if_false, uint32_t k)
{
    filter->code[filter->count++] =
        (struct sock_filter){.code = code, .jt = if_true, .jf = if_false, .k = k};
}

static void deny(struct filter *filter)
{
    add(filter, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
}

static void deny_calls(struct filter *filter, const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, numbers[i]);
        deny(filter);
    }
}

int confine_calls(bool mounts)
{
    struct filter filter = {.count = 0};
    add(&filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    add(&filter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCH);
    deny(&filter);
    add(&filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    add(&filter, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_CALLS);
    deny(&filter);
    deny_calls(&filter, denied, ARRAY_COUNT(denied));
    if (mounts)
        deny_calls(&filter, denied_mounts, ARRAY_COUNT(denied_mounts));
    add(&filter, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = filter.count, .filter = filter.code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0 ? 0 : -errno;
}
#else
int confine_calls(bool mounts)
{
    (void)mounts;
    return -ENOSYS; /* the numbers of the calls are checked on the architectures above only */
}
#endif
