/* synth: file servers whose files are made when they are read: a table of kinds of files, and
 * callbacks.
 *
 * A server lists its kinds: each stands below a parent kind (kind 0 is the root), under a fixed
 * name, or under names that the parent's `each` gives (process numbers, connections). A file is a
 * kind and a number: its identity. Contents that are text are made once an open and then read by
 * offset, so that a reader sees one moment. Kinds that wait use the request itself.
 *
 * Nothing here may be cached by clients: identities carry SYNTHETIC and NOCACHE.
 */
#ifndef COGNU_SYNTH_H
#define COGNU_SYNTH_H

#include <cognu/ninep.h>

enum {
    SYNTH_KINDS_MAX = 64,
    SYNTH_TEXT_BYTES_MAX = 16 << 20, /* a text file's contents */
    SYNTH_NAME_BYTES = 256,
};

struct synth;

/* A file as one fid sees it. */
struct synth_handle {
    struct synth *synth;
    const struct synth_kind *kind;
    uint64_t id; /* below 2^48; a directory of fixed name inherits its parent's */
    void *aux;   /* the callbacks' own, from open to close */
    const struct ninep_fid *fid;
    struct cg_str text; /* contents made at the first read */
    bool text_made;
};

struct synth_kind {
    uint16_t parent;
    const char *name; /* NULL: named by each/find of this kind */
    uint32_t mode;    /* type and permissions */
    uint32_t qtype;   /* besides SYNTHETIC and NOCACHE: NINEP_QTYPE_STREAM ... */

    /* Names of this kind inside the parent file number dir: the first after *cursor, which it then
     * names. 0 is before all; false at the end. A listing may go on from a cursor much later, when
     * other names have come and gone: let cursors be what lasts, such as growing numbers below
     * 2^48. */
    bool (*each)(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                 uint64_t *id);
    /* The number behind a name; CG_ENOENT. Of kind 0, the root: the number of the tree of that
     * name, where a server has several; without it they are all the same. */
    cg_err (*find)(struct synth *s, uint64_t dir, const char *name, uint64_t *id);

    /* Of kind 0: a handle of the root id more, or one less. A session has one as long as it is
     * attached. */
    void (*held)(struct synth *s, uint64_t id, bool more);

    /* May be NULL: nothing to do. May set h->kind (by synth_kind_of) and h->id: a clone file. */
    cg_err (*open)(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb);
    /* Instead of open: an open that waits. Ends by synth_opened, or by ninep_respond with an error.
     */
    void (*open_later)(struct synth_handle *h, struct ninep_req *r);
    void (*close)(struct synth_handle *h); /* of a handle that was opened */

    /* Contents: text, or a request that is answered at once or later by ninep_respond. */
    cg_err (*text)(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb);
    void (*read)(struct synth_handle *h, struct ninep_req *r);
    /* A write: all of it, or an error; or a request. */
    cg_err (*line)(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb);
    void (*write)(struct synth_handle *h, struct ninep_req *r);
    void (*cancel)(struct synth_handle *h, struct ninep_req *r);

    /* Changes to the directory itself (mode's type is a directory): env, srv. NULL: refused. */
    cg_err (*create)(struct synth_handle *dir, const char *name, uint32_t mode, uint16_t *kind,
                     uint64_t *id, struct cg_errbuf *eb);
    cg_err (*remove)(struct synth_handle *dir, const char *name, struct cg_errbuf *eb);
    /* The file is cut, or lengthened, by Tsetattr. NULL: granted without effect, so that `echo x >
     * file` works. */
    cg_err (*resize)(struct synth_handle *h, uint64_t size, struct cg_errbuf *eb);
    uint64_t (*size)(struct synth_handle *h); /* NULL: 0 */
    /* Whose it is: the others' bits of mode count for everybody else but the host's administrators
     * (synth_is_host). NULL: it belongs to whoever looks at it. */
    uint64_t (*owner)(struct synth_handle *h);
};

/* kinds[0] is the root directory. kinds and env are borrowed for the life of the server. */
cg_err synth_new(const struct synth_kind *kinds, uint16_t count, const struct cg_env *env,
                 void *aux, struct synth **out);
void synth_free(struct synth *s);
void *synth_aux(struct synth *s);
const struct synth_kind *synth_kind_of(struct synth *s, uint16_t kind);
/* Give these to ninep_server_new: ops, and the synth as aux. */
extern const struct ninep_ops synth_ops;
struct synth_handle *synth_handle_of(const struct ninep_fid *fid);
/* The attributes of a handle's file now. */
void synth_attr(struct synth_handle *h, struct ninep_attr *out);
/* Answers a write of which everything was taken. */
void synth_wrote(struct ninep_req *r);
/* The caller is root of this host, or the user that this server runs as. */
bool synth_is_host(const struct ninep_fid *fid);
/* The Linux number of a signal by its name (Plan 9's `interrupt hangup alarm`, Linux's `int hup
 * tstp`, `stop` and `start` for SIGSTOP and SIGCONT) or number; 0: there is none. */
int synth_note_number(const char *word);
/* An open_later has succeeded: answers r, for the kind and number that h has now. */
void synth_opened(struct synth_handle *h, struct ninep_req *r);
/* The common main of a synthetic file server (library cg_synth_main): serves as ninep_serve_main
 * does. */
int synth_serve_main(int argc, char **argv, const char *name, const struct synth_kind *kinds,
                     uint16_t count);

#endif
