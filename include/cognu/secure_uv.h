/* secure_uv: asking the node's factotum for signatures, on a libuv loop.
 *
 * A request is the text that factotum's `sign` file takes (srv/factotum/README.md). The link to
 * factotum comes back by itself; a request waits for it until its deadline.
 */
#ifndef COGNU_SECURE_UV_H
#define COGNU_SECURE_UV_H

#include <cognu/ninep_uv.h>
#include <cognu/secure.h>

enum { SECURE_SIGNER_JOBS_MAX = 256 }; /* attaches of one process that wait at once */

struct secure_signer;
cg_err secure_signer_new(uv_loop_t *loop, const char *socket, struct secure_signer **out);
void secure_signer_free(struct secure_signer *s); /* ends all that waits, with CG_ECANCELED */

/* text is NUL-terminated and valid during the call; detail is never NULL. */
typedef void secure_text_done(void *aux, cg_err e, const char *text, size_t len,
                              const char *detail);
/* The public keys: lines "node KEYHEX" and "user KEYHEX NAME". done is called later, or never when
 * this fails. */
cg_err secure_signer_keys(struct secure_signer *s, secure_text_done *done, void *aux);

/* key signed, and this is sig. */
typedef void secure_sign_done(void *aux, cg_err e, const uint8_t key[32], const uint8_t sig[64],
                              const char *detail);
cg_err secure_signer_sign(struct secure_signer *s, const char *request, size_t len,
                          secure_sign_done *done, void *aux);

/* For ninep_client_config.credential: proves user key_name (a name or the key's hex in factotum) to
 * the server at the other end of c, for tree, as user, and tells c the credential. ticket (encoded,
 * may be empty): the key is its holder. Local servers need none: c is told so at once. */
void secure_signer_credential(struct secure_signer *s, struct ninep_client *c,
                              const struct ninep_peer *peer, const char *key_name, const char *user,
                              const char *tree, struct cg_span ticket);
/* c is about to be freed: nobody tells it a credential any more. */
void secure_signer_forget(struct secure_signer *s, struct ninep_client *c);

/* How a namespace finds file servers: the callbacks dial and undial of struct ns_config. Strings
 * are borrowed. */
struct secure_dialer_config {
    uv_loop_t *loop;
    const char *srv;     /* directory of local services */
    const char *dial;    /* the gate's socket; NULL: no way to other nodes */
    const char *self;    /* this node's name */
    const char *user;    /* who attaches */
    const char *key;     /* the user's key in factotum, a service of srv; NULL: no proofs */
    uint64_t *principal; /* set to that of the key, once it is needed */
};
struct secure_dialer;
cg_err secure_dialer_new(const struct secure_dialer_config *config, struct secure_dialer **out);
/* Asks factotum for the key's principal, unless it is known. */
void secure_dialer_identify(struct secure_dialer *d);
void secure_dialer_free(struct secure_dialer *d); /* all its clients are undialled */
cg_err secure_dial(struct secure_dialer *d, const char *node, const char *service,
                   const char *ticket, const struct ninep_client_config *config,
                   struct ninep_client **out, struct cg_errbuf *eb);
void secure_undial(struct secure_dialer *d, struct ninep_client *c);

/* ninep_serve_main for a file server that other nodes may reach: config->auth is made here
 * (secure_auth_new), over the roster that $COGNU_ROSTER names. */
int secure_serve_main(int argc, char **argv, struct ninep_server_config *config);

#endif
