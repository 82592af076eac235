/* manifest: what a component is given: one text file a component, and nothing that it does not
 * name.
 *
 * The text form: one grant a line, words divided by blanks, quoted as in rc; `#` begins a comment.
 * A line that is not of this list, or is said twice where once is meant, refuses the whole file.
 *
 *   program FILE ARG...        the program, by its file name; an argument $NODE, $LISTEN or
 *                              $ADDRESS stands for the node's name, where it listens, and where
 *                              others find it
 *   offer NAME [gate]          a service: init makes its socket and passes it as `--fd N`;
 *                              with gate also the one for the gate, as `--gate-fd N`
 *   socket stream|seqpacket PATH OPTION    another listening socket, passed as `OPTION N`
 *   use NAME... | *            local services that it may connect to
 *   path r|rw SOURCE [PLACE]   a file or folder of the node, seen at PLACE, else at SOURCE
 *   net none|loopback|node     default none
 *   pids own|node              whose processes it sees, default own
 *   uid N                      whom it runs as, default 65534
 *   privilege NAME...          kernel privileges that it keeps (manifest_privileges), default none
 *   syscalls default [+NAME...]    system calls beyond the common ones
 *   memory SIZE                with suffix K, M or G, default 256M
 *   files N                    open files, default 1024
 *   keep N                     descriptors that init holds for it across its death, among them
 *                              memory, which counts against its `memory`; passed as `--keep FD`
 *   restart always|never       when it ends, default always
 *   walls all|none             none: it starts the users' commands and so runs as init does, in the
 *                              node's own namespaces; default all
 */
#ifndef COGNU_MANIFEST_H
#define COGNU_MANIFEST_H

#include <cognu/base.h>

enum {
    MANIFEST_BYTES_MAX = 16 * 1024, /* some twenty lines in practice */
    MANIFEST_NAME_BYTES_MAX = 63,
    MANIFEST_PATH_BYTES_MAX = 1023,
    MANIFEST_ARGS_MAX = 48,
    MANIFEST_OFFERS_MAX = 8, /* descriptors passed stay few */
    MANIFEST_SOCKETS_MAX = 4,
    MANIFEST_USES_MAX = 32,
    MANIFEST_PATHS_MAX = 32, /* each is a mount and a Landlock rule */
    MANIFEST_SYSCALLS_MAX = 32,
    MANIFEST_KEEP_MAX = 4096, /* two for each namespace of an adapter, and room */
    MANIFEST_NOBODY = 65534,
};

enum manifest_net { MANIFEST_NET_NONE, MANIFEST_NET_LOOPBACK, MANIFEST_NET_NODE };

struct manifest_offer {
    const char *name;
    bool gate;
};
struct manifest_socket {
    const char *path;
    const char *option; /* the program's option that takes the descriptor */
    bool seqpacket;
};
struct manifest_path {
    const char *source, *place; /* absolute, without empty, "." or ".." elements */
    bool writable;
};

struct manifest {
    char name[MANIFEST_NAME_BYTES_MAX + 1];
    const char *program; /* a file name, no folder */
    const char *arg[MANIFEST_ARGS_MAX];
    struct manifest_offer offer[MANIFEST_OFFERS_MAX];
    struct manifest_socket socket[MANIFEST_SOCKETS_MAX];
    const char *use[MANIFEST_USES_MAX];
    struct manifest_path path[MANIFEST_PATHS_MAX];
    const char *syscall[MANIFEST_SYSCALLS_MAX]; /* without the plus */
    uint32_t args, offers, sockets, uses, paths, syscalls;
    bool use_all;
    bool node_pids;
    bool restart;
    bool walled;
    enum manifest_net net;
    uint32_t uid;
    uint32_t files;
    uint32_t keep; /* 0: nothing */
    uint64_t memory_bytes;
    uint64_t privileges; /* bit N is Linux capability N */
    char *text;          /* what the strings above point into */
};

/* Reads the text of component name. origin names the file in the detail, which has the form
 * `ORIGIN:LINE: what is wrong and what is allowed`. CG_EBADFORMAT, CG_ENOMEM; *out is then empty.
 */
cg_err manifest_parse(const char *name, const char *origin, const void *text, size_t len,
                      struct manifest *out, struct cg_errbuf *eb);
/* Reads a file; the component's name is the file's name without ".manifest". */
cg_err manifest_load(const char *path, struct manifest *out, struct cg_errbuf *eb);
void manifest_fini(struct manifest *m); /* an empty one is fine */

/* A service or component name: a lower-case letter, then letters, digits, '-' or '_'. */
bool manifest_name_ok(const char *name);

struct manifest_privilege {
    const char *name;
    uint32_t bit; /* the number of the Linux capability */
};
extern const struct manifest_privilege manifest_privileges[]; /* ends with a NULL name */

#endif
