/* The registers of x86-64, by the names that its manual gives them. */
#include "debug.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define REG(name)                                                                                  \
    {                                                                                              \
#name, offsetof(struct user_regs_struct, name)                                             \
    }
static const struct {
    const char *name;
    size_t at;
} table[] = {
    REG(rip), REG(rsp), REG(rbp),     REG(rax),     REG(rbx),    REG(rcx),      REG(rdx),
    REG(rsi), REG(rdi), REG(r8),      REG(r9),      REG(r10),    REG(r11),      REG(r12),
    REG(r13), REG(r14), REG(r15),     REG(cs),      REG(ss),     REG(ds),       REG(es),
    REG(fs),  REG(gs),  REG(fs_base), REG(gs_base), REG(eflags), REG(orig_rax),
};

cg_err regs_read(pid_t pid, struct cg_str *out)
{
    struct user_regs_struct regs;
    cg_err e = ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0 ? cg_err_from_errno(errno) : CG_OK;
    for (size_t i = 0; i < CG_COUNT(table) && !e; i++) {
        unsigned long long value;
        memcpy(&value, (const char *)&regs + table[i].at, sizeof value);
        e = cg_str_addf(out, "%s 0x%llx\n", table[i].name, value);
    }
    return e;
}

cg_err regs_write(pid_t pid, const char *name, uint64_t value, struct cg_errbuf *eb)
{
    struct user_regs_struct regs;
    for (size_t i = 0; i < CG_COUNT(table); i++) {
        if (strcmp(table[i].name, name) != 0) {
            continue;
        }
        unsigned long long v = value;
        if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
            memcpy((char *)&regs + table[i].at, &v, sizeof v);
            if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0) {
                return CG_OK;
            }
        }
        return cg_fail(eb, cg_err_from_errno(errno), "register %s: %s", name, strerror(errno));
    }
    return cg_fail(eb, CG_EINVAL, "no register '%.20s'", name);
}
