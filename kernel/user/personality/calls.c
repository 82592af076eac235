/* The system calls of tier T0, as Linux documents them. Numbers: the x86_64 table. Anything else
 * answers ENOSYS. */
#include "arch/regs.h"
#include "personality.h"
#include "serial.h"

#define PAGE 4096ULL

enum {
    SYS_read = 0,
    SYS_write = 1,
    SYS_close = 3,
    SYS_fstat = 5,
    SYS_lseek = 8,
    SYS_mmap = 9,
    SYS_mprotect = 10,
    SYS_munmap = 11,
    SYS_brk = 12,
    SYS_rt_sigaction = 13,
    SYS_rt_sigprocmask = 14,
    SYS_ioctl = 16,
    SYS_readv = 19,
    SYS_writev = 20,
    SYS_sched_yield = 24,
    SYS_madvise = 28,
    SYS_getpid = 39,
    SYS_exit = 60,
    SYS_uname = 63,
    SYS_fcntl = 72,
    SYS_readlink = 89,
    SYS_getuid = 102,
    SYS_getgid = 104,
    SYS_geteuid = 107,
    SYS_getegid = 108,
    SYS_getppid = 110,
    SYS_arch_prctl = 158,
    SYS_gettid = 186,
    SYS_set_tid_address = 218,
    SYS_clock_gettime = 228,
    SYS_exit_group = 231,
    SYS_newfstatat = 262,
    SYS_readlinkat = 267,
    SYS_set_robust_list = 273,
    SYS_prlimit64 = 302,
    SYS_getrandom = 318
};
enum {
    ENOENT = 2,
    EIO = 5,
    EBADF = 9,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    EINVAL = 22,
    ENOTTY = 25,
    ESPIPE = 29,
    ENOSYS = 38
};
#define ARCH_SET_FS   0x1002
#define ARCH_GET_FS   0x1003
#define MAP_PRIVATE   0x02u
#define MAP_FIXED     0x10u
#define MAP_ANONYMOUS 0x20u
#define F_GETFD       1
#define F_SETFD       2
#define F_GETFL       3
#define O_RDWR        2
#define PID           1
#define IOV_MAX       1024u

static uint64_t up(uint64_t x)
{
    return (x + PAGE - 1) & -PAGE;
}

static bool sane(uint64_t address, uint64_t bytes)
{
    return address % PAGE == 0 && address >= PAGE && address < LINUX_VIEW && bytes > 0 &&
           bytes <= LINUX_VIEW - address;
}

static int64_t call_write(struct program *p, const uint64_t a[6])
{
    if (a[0] != 1 && a[0] != 2) {
        return -EBADF;
    }
    const char *bytes = memory_view(p, a[1], a[2], PROT_READ);
    if (!bytes && a[2] > 0) {
        return -EFAULT;
    }
    print_bytes(bytes, a[2]);
    return (int64_t)a[2];
}

/* A line of the serial line's input, or less. */
static int64_t call_read(struct program *p, const uint64_t a[6])
{
    struct message m = {.word = {a[2]}};
    void *to = memory_view(p, a[1], a[2], PROT_WRITE);
    if (a[0] != 0) {
        return -EBADF;
    }
    if (!to && a[2] > 0) {
        return -EFAULT;
    }
    unsigned error = message_pass(&m, SYS_CALL, LINUX_INPUT, SERIAL_READ, 1, 0);
    if (error || m.word[0] > a[2] || m.word[0] > SERIAL_BYTES) {
        return -EIO;
    }
    memcpy(to, &m.word[1], m.word[0]);
    return (int64_t)m.word[0];
}

/* Fills the first part that is not empty. */
static int64_t call_readv(struct program *p, const uint64_t a[6])
{
    for (uint64_t i = 0; i < a[2] && i < IOV_MAX; i++) {
        const uint64_t *v = memory_view(p, a[1] + i * 16, 16, PROT_READ);
        if (!v) {
            return -EFAULT;
        }
        if (v[1] > 0) {
            const uint64_t part[6] = {a[0], v[0], v[1]};
            return call_read(p, part);
        }
    }
    return 0;
}

static int64_t call_writev(struct program *p, const uint64_t a[6])
{
    int64_t sum = 0;
    if (a[2] > IOV_MAX) {
        return -EINVAL;
    }
    for (uint64_t i = 0; i < a[2]; i++) {
        const uint64_t *v = memory_view(p, a[1] + i * 16, 16, PROT_READ);
        if (!v) {
            return sum > 0 ? sum : -EFAULT;
        }
        const uint64_t part[6] = {a[0], v[0], v[1]};
        int64_t n = call_write(p, part);
        if (n < 0) {
            return sum > 0 ? sum : n;
        }
        sum += n;
    }
    return sum;
}

static int64_t call_brk(struct program *p, const uint64_t a[6])
{
    if (a[0] < p->brk_first || a[0] >= LINUX_MMAP) {
        return (int64_t)p->brk;
    }
    if (up(a[0]) > up(p->brk)) {
        if (!memory_add(p, up(p->brk), up(a[0]), PROT_READ | PROT_WRITE)) {
            return (int64_t)p->brk;
        }
    } else {
        memory_remove(p, up(a[0]), up(p->brk));
    }
    p->brk = a[0];
    return (int64_t)p->brk;
}

static int64_t call_mmap(struct program *p, const uint64_t a[6])
{
    uint64_t at = a[0], bytes = up(a[1]);
    if (bytes == 0 || bytes < a[1] || (a[2] & ~7ULL)) {
        return -EINVAL;
    }
    if ((a[3] & MAP_ANONYMOUS) == 0) {
        return -EBADF;
    }
    if ((a[2] & PROT_WRITE) && (a[2] & PROT_EXEC)) {
        return -EACCES; /* W^X */
    }
    if ((a[3] & MAP_FIXED) == 0) {
        at = memory_find(p, bytes);
    }
    if (!sane(at, bytes)) {
        return (a[3] & MAP_FIXED) ? -EINVAL : -ENOMEM;
    }
    return memory_add(p, at, at + bytes, (uint32_t)a[2]) ? (int64_t)at : -ENOMEM;
}

static int64_t call_mprotect(struct program *p, const uint64_t a[6])
{
    uint64_t bytes = up(a[1]);
    if (bytes == 0) {
        return 0;
    }
    if (!sane(a[0], bytes) || (a[2] & ~7ULL)) {
        return -EINVAL;
    }
    if ((a[2] & PROT_WRITE) && (a[2] & PROT_EXEC)) {
        return -EACCES;
    }
    return memory_protect(p, a[0], a[0] + bytes, (uint32_t)a[2]) ? 0 : -ENOMEM;
}

static int64_t call_munmap(struct program *p, const uint64_t a[6])
{
    uint64_t bytes = up(a[1]);
    if (!sane(a[0], bytes)) {
        return -EINVAL;
    }
    memory_remove(p, a[0], a[0] + bytes);
    return 0;
}

static int64_t call_arch_prctl(struct program *p, const uint64_t a[6])
{
    if (a[0] == ARCH_SET_FS) {
        return a[1] < LINUX_VIEW && thread_write(p->thread, R_FS, a[1], 0, NULL) == 0 ? 0 : -EINVAL;
    }
    uint64_t answer[MSG_WORDS_REGS];
    uint64_t *to = memory_view(p, a[1], 8, PROT_WRITE);
    if (a[0] != ARCH_GET_FS || !to || thread_read(p->thread, R_FS, 1, answer)) {
        return -EINVAL;
    }
    *to = answer[0];
    return 0;
}

static int64_t call_fstat(struct program *p, uint64_t fd, uint64_t at)
{
    if (fd > 2) {
        return -EBADF;
    }
    uint8_t *to = memory_view(p, at, 144, PROT_WRITE);
    if (!to) {
        return -EFAULT;
    }
    memset(to, 0, 144);
    *(uint64_t *)(to + 16) = 1;      /* links */
    *(uint32_t *)(to + 24) = 020620; /* a character device */
    *(uint64_t *)(to + 56) = 1024;   /* block */
    return 0;
}

/* The descriptors of the terminal are open for reading and writing, and stay as they are. */
static int64_t call_fcntl(const uint64_t a[6])
{
    if (a[0] > 2) {
        return -EBADF;
    }
    switch (a[1]) {
    case F_GETFD:
    case F_SETFD:
        return 0;
    case F_GETFL:
        return O_RDWR;
    default:
        return -EINVAL;
    }
}

static int64_t call_uname(struct program *p, const uint64_t a[6])
{
    static const char *const field[6] = {"Linux", "cognu", "6.1.0", "native", "x86_64", ""};
    char *to = memory_view(p, a[0], 390, PROT_WRITE);
    if (!to) {
        return -EFAULT;
    }
    memset(to, 0, 390);
    for (unsigned i = 0; i < 6; i++) {
        memcpy(to + i * 65ULL, field[i], strlen(field[i]));
    }
    return 0;
}

static uint64_t now(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static int64_t call_clock_gettime(struct program *p, const uint64_t a[6])
{
    uint64_t *to = memory_view(p, a[1], 16, PROT_WRITE);
    if (!to) {
        return -EFAULT;
    }
    uint64_t us = now() / boot_info()->ticks_per_us;
    to[0] = us / 1000000;
    to[1] = us % 1000000 * 1000;
    return 0;
}

static int64_t call_getrandom(struct program *p, const uint64_t a[6])
{
    uint8_t *to = memory_view(p, a[0], a[1], PROT_WRITE);
    if (!to) {
        return -EFAULT;
    }
    for (uint64_t i = 0; i < a[1]; i++) {
        uint64_t word;
        uint8_t good;
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(word), "=qm"(good));
        if (!good) {
            return -ENOSYS;
        }
        to[i] = (uint8_t)word;
    }
    return (int64_t)a[1];
}

static int64_t call_prlimit(struct program *p, const uint64_t a[6])
{
    uint64_t *to = memory_view(p, a[3], 16, PROT_WRITE);
    if (to) {
        to[0] = a[1] == 3 ? LINUX_STACK_BYTES : ~0ULL; /* RLIMIT_STACK */
        to[1] = ~0ULL;
    }
    return a[3] && !to ? -EFAULT : 0;
}

static int64_t call_exit(struct program *p, const uint64_t a[6])
{
    p->ended = true;
    p->status = (int)(a[0] & 0xff);
    return 0;
}

static int64_t call_memory(struct program *p, uint64_t number, const uint64_t a[6])
{
    switch (number) {
    case SYS_mmap:
        return call_mmap(p, a);
    case SYS_mprotect:
        return call_mprotect(p, a);
    case SYS_munmap:
        return call_munmap(p, a);
    case SYS_brk:
        return call_brk(p, a);
    default: /* madvise */
        return 0;
    }
}

int64_t linux_call(struct program *p, uint64_t number, const uint64_t a[6])
{
    switch (number) {
    case SYS_getppid:
    case SYS_getuid:
    case SYS_getgid:
    case SYS_geteuid:
    case SYS_getegid:
    case SYS_sched_yield:
    case SYS_close:
    case SYS_rt_sigaction: /* no signals yet: nobody sends one */
    case SYS_rt_sigprocmask:
        return 0;
    case SYS_read:
        return call_read(p, a);
    case SYS_readv:
        return call_readv(p, a);
    case SYS_getpid:
    case SYS_gettid:
    case SYS_set_tid_address:
        return PID;
    case SYS_write:
        return call_write(p, a);
    case SYS_writev:
        return call_writev(p, a);
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_munmap:
    case SYS_brk:
    case SYS_madvise:
        return call_memory(p, number, a);
    case SYS_arch_prctl:
        return call_arch_prctl(p, a);
    case SYS_fstat:
        return call_fstat(p, a[0], a[1]);
    case SYS_newfstatat: /* of an empty name: the descriptor itself */
        return (a[3] & 0x1000) ? call_fstat(p, a[0], a[2]) : -ENOENT;
    case SYS_lseek:
        return -ESPIPE;
    case SYS_ioctl:
        return -ENOTTY;
    case SYS_readlink:
    case SYS_readlinkat:
        return -ENOENT;
    case SYS_fcntl:
        return call_fcntl(a);
    case SYS_uname:
        return call_uname(p, a);
    case SYS_clock_gettime:
        return call_clock_gettime(p, a);
    case SYS_getrandom:
        return call_getrandom(p, a);
    case SYS_prlimit64:
        return call_prlimit(p, a);
    case SYS_exit:
    case SYS_exit_group:
        return call_exit(p, a);
    default:
        return -ENOSYS;
    }
}
