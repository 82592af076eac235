/* secure_allow: who may run commands on this node, and so who may signal and debug what runs there:
 * the node's own user (local root, the user that exec runs as, and whoever proves the user's key
 * from another node), and those whom the rule names.
 *
 * The rule is a text of lines: the name or the key of a user of the roster, or `*` for all of them;
 * `#` begins a comment. It is the file `allow` of exec's tree, kept in a file of the node; where
 * there is none, nobody is added. Names are looked up when somebody comes, in the roster of that
 * moment.
 */
#ifndef COGNU_SECURE_ALLOW_H
#define COGNU_SECURE_ALLOW_H

#include <cognu/secure_uv.h>

enum { ALLOW_BYTES_MAX = 64 << 10 };

struct allow_config {
    const char *file;     /* of the rule; NULL: there is none, and it cannot be set */
    const char *roster;   /* where names are looked up */
    const char *factotum; /* its socket; NULL: the node's user has no key */
    const char *key;      /* of the node's user, there */
};
/* Takes --allow FILE, --factotum SOCKET, --key NAME and --roster FILE out of argv into *c, whose
 * rest is set to what a node has. False: one has no value. */
bool allow_take_options(int *argc, char **argv, struct allow_config *c);
cg_err allow_start(uv_loop_t *loop, const struct allow_config *config);
void allow_stop(void);

/* May who opens fid do this: "run commands", "signal processes"? A refusal is logged. user is set
 * to what he is called in the roster, or to the name of the node's user's key. */
cg_err allow_check(const struct ninep_fid *fid, const char *what, char user[64],
                   struct cg_errbuf *eb);
/* The key of the node's user, 64 digits; NULL: none, or not known yet. */
const char *allow_key(void);
cg_err allow_text(struct cg_str *out, struct cg_errbuf *eb);
/* Replaces the rule, or adds to it, when each of its lines can be understood. */
cg_err allow_set(struct cg_span text, bool append, struct cg_errbuf *eb);

#endif
