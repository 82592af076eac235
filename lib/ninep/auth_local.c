/* auth_local: who the other end is, when both ends are processes of one machine.
 *
 * The kernel vouches for the peer of a Unix socket, so there is nothing to prove: the principal is
 * the peer's user number with the top bit set, and the proof of a session's secret is its id, which
 * only its owner and the server have seen. Both ends of a Unix socket have the same (zero) binding,
 * so the proof does not depend on it.
 */
#include <cognu/ninep.h>

#include <string.h>

#define LOCAL_PRINCIPAL (UINT64_C(1) << 63)

static cg_err attach(void *ctx, const struct ninep_peer *peer, struct cg_span user,
                     struct cg_span tree, struct cg_span credential, struct ninep_grant *grant,
                     struct cg_errbuf *eb)
{
    (void)ctx;
    (void)user; /* a claim: the kernel knows better */
    (void)tree;
    (void)credential;
    if (!peer->local) {
        return cg_fail(eb, CG_EAUTH, "this server takes users of its own machine only");
    }
    *grant = (struct ninep_grant){
        .principal = LOCAL_PRINCIPAL | peer->uid,
        .rights = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC,
    };
    return CG_OK;
}

static void proof(void *ctx, const uint8_t first_binding[32], const uint8_t id[16],
                  const uint8_t new_binding[32], uint8_t out[32])
{
    (void)ctx;
    (void)first_binding;
    (void)new_binding;
    memcpy(out, id, 16);
    memcpy(out + 16, id, 16);
}

const struct ninep_auth ninep_auth_local = {.attach = attach, .proof = proof};
