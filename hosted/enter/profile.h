/* profile: the namespace files of users and services: what a shell or a command begins with,
 * besides the node's own template.
 *
 * For service S (exec: commands of other nodes; shell) and user U of the roster, these files of the
 * node's tree are taken where they are, each once: HOME/lib/namespace.S.U, or else
 * HOME/lib/namespace.S, or else HOME/lib/namespace. namespace(5) has their form: lines of
 * ns_ctl, and
 *   . FILE      the lines of another file of the node's tree
 *   clear       without all that stands above, the template too
 *   $user $service $node $home    in any line
 */
#ifndef COGNU_ENTER_PROFILE_H
#define COGNU_ENTER_PROFILE_H

#include <cognu/base.h>

enum {
    PROFILE_BYTES_MAX = 64 << 10, /* of one file, and of the whole, as the adapter takes it */
    PROFILE_DEPTH_MAX = 8,        /* files that name one another */
};

struct profile {
    const char *root; /* the folder on the host that is the node's tree */
    const char *home, *service, *user, *node;
};

/* Adds to text what the files say. A file that is not there is left out; one that cannot be
 * understood is refused as a whole, eb names it and its line, and text is unchanged. */
cg_err profile_add(const struct profile *p, struct cg_str *text, struct cg_errbuf *eb);

#endif
