/* Who the component is: its uid, and the few Linux capabilities ("privileges" here: a capability of
 * Cognu is another thing) that its manifest keeps. They are held as ambient ones, so that the
 * program has them after exec whatever its uid; all others leave every set, the bounding one too.
 */
#include "sandbox_impl.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool wanted(uint64_t set, unsigned cap)
{
    return (set >> cap & 1) != 0;
}

static cg_err drop_bounding(uint64_t keep, struct cg_errbuf *eb)
{
    for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
        if (!wanted(keep, cap) && prctl(PR_CAPBSET_DROP, cap) != 0) {
            return sandbox__failed(eb, "dropping privilege %u", cap);
        }
    }
    return CG_OK;
}

/* In a user namespace of one user no other uid exists: the component then stays that user. */
static cg_err become(uint32_t uid, struct cg_errbuf *eb)
{
    if (setgroups(0, NULL) != 0 && errno != EPERM) {
        return sandbox__failed(eb, "dropping groups");
    }
    if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) {
        if (errno != EINVAL) {
            return sandbox__failed(eb, "becoming uid %u", uid);
        }
        cg_log(CG_WARN, "uid %u does not exist in this user namespace: stays uid %u", uid,
               (unsigned)getuid());
    }
    return CG_OK;
}

static cg_err set_privileges(uint64_t keep, struct cg_errbuf *eb)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    for (unsigned i = 0; i < 2; i++) {
        uint32_t half = (uint32_t)(keep >> 32 * i);
        data[i] = (struct __user_cap_data_struct){half, half, half};
    }
    if (syscall(SYS_capset, &head, data) != 0) {
        return sandbox__failed(eb,
                               "keeping the manifest's privileges (does the starter hold them?)");
    }
    for (unsigned cap = 0; cap < 64; cap++) {
        if (wanted(keep, cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) {
            return sandbox__failed(eb, "keeping privilege %u", cap);
        }
    }
    return CG_OK;
}

cg_err sandbox__identity(const struct manifest *m, struct cg_errbuf *eb)
{
    /* uid 0 alone must not grant anything at exec. */
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
    cg_err e = drop_bounding(m->privileges, eb);
    if (e == CG_OK && (prctl(PR_SET_SECUREBITS, bits) != 0 || prctl(PR_SET_KEEPCAPS, 1) != 0)) {
        e = sandbox__failed(eb, "setting secure bits");
    }
    if (e == CG_OK) {
        e = become(m->uid, eb);
    }
    if (e == CG_OK) {
        e = set_privileges(m->privileges, eb);
    }
    return e;
}
