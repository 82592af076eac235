/* store: content-addressed, versioned, encrypted storage. Nothing is kept twice, every version of
 * every tree stays reachable by its score until it is let go, and no byte is served whose score was
 * not checked.
 *
 * A store is a folder reached through one table of I/O calls. An *object* is a chunk of data or a
 * node of a tree, named by its *score*: a keyed hash. Objects are gathered into frames (the unit of
 * compression and encryption), frames into packs. The index says where each object lies and how
 * many edges lead to it. The *state* is one small file that names every pack, run of the index,
 * reference and lease; it is replaced as a whole by publishing the next number, so that the store
 * changes at one instant or not at all. docs/store-format.md has the formats,
 * lib/store/INVARIANTS.md what must hold.
 *
 * Threads: a struct store and its writers belong to one thread; a writer has helpers of its own
 * that compress. Several processes may use one store at the same time, as many as like.
 *
 * Errors: CG_EAUTH the passphrase is wrong; CG_EBADFORMAT bytes that no store of this version
 * writes; CG_EIO bytes are damaged or gone; CG_ENOENT no such name or score; CG_EEXPIRED the
 * writer's lease is over; CG_EAGAIN a reference was changed by another; and what the host answers
 * (CG_ENOSPC...).
 */
#ifndef COGNU_STORE_H
#define COGNU_STORE_H

#include <cognu/base.h>

enum {
    STORE_SCORE_BYTES = 24,           /* HMAC-SHA256, its first 192 bits */
    STORE_CHUNK_BYTES_MAX = 64 << 10, /* of file data */
    STORE_NODE_BYTES_MAX = 256 << 10,
    STORE_NAME_BYTES_MAX = 255, /* of a file in a tree, and of a reference */
    STORE_TARGET_BYTES_MAX = 4096,
    STORE_XATTR_BYTES_MAX = 64 << 10, /* all attributes of one file, encoded */
    STORE_INLINE_BYTES_MAX = 64,      /* files up to this lie in their directory */
    STORE_DEPTH_MAX = 2048,           /* directories in directories; PATH_MAX allows 2048 */
    STORE_RECOVERY_CHARS = 72,        /* a recovery key as text, with its end */
};

struct store_score {
    uint8_t b[STORE_SCORE_BYTES];
};
bool store_score_is(const struct store_score *a, const struct store_score *b);
void store_score_text(const struct store_score *s, char out[2 * STORE_SCORE_BYTES + 1]);
bool store_score_parse(const char *text, struct store_score *out);

/* ---- I/O: everything that a store asks of the disk ---- */

enum { STORE_IO_READ = 1, STORE_IO_CREATE = 2, STORE_IO_APPEND = 3 };

/* Paths are relative to the store: at most two elements. A file is what open gave. Each call may be
 * made by any thread. Names are durable after sync_dir of their folder, contents after sync. */
struct store_io {
    /* READ an existing file; CREATE a new one, CG_EEXIST otherwise; APPEND: write an existing one.
     */
    cg_err (*open)(void *ctx, const char *path, int how, void **file);
    /* Fewer bytes than asked only at the end of the file. */
    cg_err (*read)(void *ctx, void *file, uint64_t at, void *out, size_t len, size_t *got);
    cg_err (*write)(void *ctx, void *file, uint64_t at, const void *data, size_t len);
    cg_err (*size)(void *ctx, void *file, uint64_t *bytes);
    cg_err (*sync)(void *ctx, void *file);
    void (*close)(void *ctx, void *file);
    cg_err (*mkdir)(void *ctx, const char *path);
    /* Names of a folder, each ended by NUL, in any order. */
    cg_err (*list)(void *ctx, const char *path, struct cg_str *names);
    /* Atomic. Without replace CG_EEXIST when the new name is there: the compare-and-swap of the
     * store. */
    cg_err (*rename)(void *ctx, const char *from, const char *to, bool replace);
    cg_err (*remove)(void *ctx, const char *path);
    cg_err (*sync_dir)(void *ctx, const char *path);
    cg_err (*space)(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes);
    void (*fini)(void *ctx); /* gives everything back; may be NULL */
    void *ctx;
};
/* A folder of the host; made when create is set. */
cg_err store_io_folder(const char *path, bool create, struct store_io *out, struct cg_errbuf *eb);
/* The same calls over a pair of descriptors, answered by store_io_serve at the other end. Takes
 * both. */
cg_err store_io_pipe(int in, int out_fd, struct store_io *out, struct cg_errbuf *eb);
/* Answers until the other end is gone. With append_only nothing that is there can be changed,
 * replaced or removed: only new files, which are final once another name or another session exists.
 */
cg_err store_io_serve(const struct store_io *io, int in, int out_fd, bool append_only);

/* ---- keys ---- */

enum store_secret_kind { STORE_PASSPHRASE = 1, STORE_RECOVERY = 2 };
struct store_secret {
    enum store_secret_kind kind;
    const char *text; /* borrows; a recovery key may hold blanks and dashes */
};

struct store_options {
    const struct cg_env *env; /* NULL: the real one */
    uint32_t threads;         /* helpers of a writer; 0: none */
    uint32_t cache_pages;     /* of the index, 4 KiB each; 0: 2048 */
    uint32_t cache_frames;    /* 512 KiB each; 0: 12 */
    uint32_t list_entries;    /* of a list in memory; 0: 8 Ki by a collection, 96 Ki by a repair */
    bool ahead;               /* a thread loads what comes next for who reads on; 4 frames more */
    bool seals;               /* a thread helps to seal frames of the journal */
    bool read_only;
    bool repair; /* open as far as it goes, for store_repair alone: nothing can be found in it */
    uint8_t scrypt_log_n; /* for init and change of passphrase: 2^n KiB of memory; 0: 15 */
};

struct store;
/* Makes a store in an empty folder. With domain the new store shares that store's domain key, so
 * that equal data has equal scores in both and copy sends only what is missing. recovery gets the
 * text of the recovery key, which is kept nowhere. io is copied; it must outlive the store. */
cg_err store_init(const struct store_io *io, const struct store_options *o,
                  const struct store_secret *secret, const struct store *domain,
                  char recovery[STORE_RECOVERY_CHARS], struct cg_errbuf *eb);
cg_err store_open(const struct store_io *io, const struct store_options *o,
                  const struct store_secret *secret, struct store **out, struct cg_errbuf *eb);
void store_close(struct store *s);
/* Looks for a newer state. */
cg_err store_refresh(struct store *s, struct cg_errbuf *eb);
/* Replaces the secret of that kind; for a recovery key secret->text is ignored and recovery is set.
 */
cg_err store_secret_change(struct store *s, const struct store_secret *secret,
                           char recovery[STORE_RECOVERY_CHARS], struct cg_errbuf *eb);
void store_id(const struct store *s, uint8_t id[16]);
bool store_same_domain(const struct store *a, const struct store *b);

/* ---- references ---- */

struct store_refinfo {
    char name[STORE_NAME_BYTES_MAX + 1];
    struct store_score score; /* of a snapshot node */
    uint64_t epoch;           /* number of the state that changed this name last */
    uint64_t time_ns;         /* of the snapshot, since 1970 */
};
uint32_t store_ref_count(const struct store *s);
/* In the order of names. */
void store_ref_at(const struct store *s, uint32_t i, struct store_refinfo *out);
cg_err store_ref_get(const struct store *s, const char *name, struct store_refinfo *out);
/* As people name snapshots: a full name (LINE@DATE), a line for its newest, LINE@DATE for the
 * newest of the line not after that date, or a date for the newest of all lines not after it. A
 * date may be cut short: 2026-11 is the end of that month; or it is "yesterday". CG_ENOENT. */
cg_err store_ref_find(const struct store *s, const char *word, struct store_refinfo *out);
/* The length of the line: of the part of a name before its '@'. */
size_t store_line_len(const char *ref);

struct store_snapshot {
    struct store_score root; /* a directory, and what its parent would say of it: */
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
    uint64_t time_ns, files, bytes;
    uint64_t added; /* bytes of objects, before compression, that were new with it */
    char name[STORE_NAME_BYTES_MAX + 1]; /* the reference it was made for */
    char host[65];
};
cg_err store_snapshot_get(struct store *s, const struct store_score *score,
                          struct store_snapshot *out, struct cg_errbuf *eb);

/* ---- objects and trees: reading ---- */

enum store_object { STORE_DATA = 1, STORE_NODE = 2 };

/* The bytes of an object, checked against its score. Borrows until the next call on s. */
cg_err store_get(struct store *s, enum store_object kind, const struct store_score *score,
                 struct cg_span *out, struct cg_errbuf *eb);
bool store_has(struct store *s, const struct store_score *score);

enum store_kind {
    STORE_FILE = 1,
    STORE_DIR,
    STORE_SYMLINK,
    STORE_FIFO,
    STORE_SOCKET,
    STORE_CHAR,
    STORE_BLOCK,
};
/* Where the contents of a file lie. */
enum store_content {
    STORE_EMPTY = 0,
    STORE_INLINE, /* in the entry */
    STORE_CHUNK,  /* one chunk */
    STORE_LIST,   /* the root of a list of chunks */
};

struct store_entry {
    struct cg_span name; /* borrows */
    enum store_kind kind;
    uint32_t mode; /* permissions with setuid, setgid, sticky: 07777 */
    uint32_t uid, gid;
    uint32_t nlink; /* at the source; above 1 the names with one ino are one file */
    uint64_t ino;
    uint64_t rdev; /* of devices: major << 32 | minor */
    int64_t mtime_ns, ctime_ns;
    uint64_t size;
    enum store_content content; /* of a file; a directory's node is in score */
    struct store_score score;
    struct cg_span data;   /* inline contents, or a link's target; borrows */
    struct cg_span xattrs; /* see store_xattr_next; borrows */
};
/* Takes the next attribute off xattrs; false at the end, or when the bytes are malformed (*bad). */
bool store_xattr_next(struct cg_span *xattrs, struct cg_span *name, struct cg_span *value,
                      bool *bad);
/* Appends one attribute to an encoding for struct store_entry. */
cg_err store_xattr_add(struct cg_str *xattrs, struct cg_span name, struct cg_span value);

/* The entries of a directory in the order of their names, as bytes. */
struct store_dir;
cg_err store_dir_open(struct store *s, const struct store_score *root, struct store_dir **out,
                      struct cg_errbuf *eb);
/* CG_ENOENT at the end. The entry borrows from d until the next call on d. */
cg_err store_dir_next(struct store_dir *d, struct store_entry *out, struct cg_errbuf *eb);
/* Goes to the first name that is not before this one. */
cg_err store_dir_seek(struct store_dir *d, struct cg_span name, struct cg_errbuf *eb);
void store_dir_close(struct store_dir *d);

/* The entry at a path below a directory; "" and "/" give the directory itself (kind, score only). A
 * symbolic link is not followed, ".." is refused. keep owns what the entry borrows. */
cg_err store_lookup(struct store *s, const struct store_score *root, const char *path,
                    struct store_entry *out, struct cg_str *keep, struct cg_errbuf *eb);
/* The entry of one name of a directory. CG_ENOENT, without a detail. */
cg_err store_lookup_name(struct store *s, const struct store_score *dir, struct cg_span name,
                         struct store_entry *out, struct cg_str *keep, struct cg_errbuf *eb);
/* Up to len bytes of a file's contents; *got is less only at the end. Holes read as zero. */
cg_err store_read(struct store *s, const struct store_entry *file, uint64_t at, void *out,
                  size_t len, size_t *got, struct cg_errbuf *eb);
/* The pieces of a file in order: data is NULL for a hole. The callback's error ends it. */
typedef cg_err store_piece_fn(void *aux, uint64_t at, const uint8_t *data, uint64_t len);
cg_err store_read_each(struct store *s, const struct store_entry *file, store_piece_fn *fn,
                       void *aux, struct cg_errbuf *eb);
/* The same without the bytes, for [from, to): score NULL is a hole, all zero is inline. */
typedef cg_err store_extent_fn(void *aux, uint64_t at, uint64_t len,
                               const struct store_score *score);
cg_err store_extents(struct store *s, const struct store_entry *file, uint64_t from, uint64_t to,
                     store_extent_fn *fn, void *aux, struct cg_errbuf *eb);

/* ---- writing ---- */

enum store_level {
    STORE_FAST,    /* lz4 */
    STORE_DEFAULT, /* zstd 1, matches from 6 bytes on */
    STORE_SMALL,   /* zstd 9 */
    STORE_PLAIN,   /* no compression */
};

struct store_writer;
/* Takes a lease. holder is told to people who ask who writes. */
cg_err store_writer_open(struct store *s, const char *holder, enum store_level level,
                         struct store_writer **out, struct cg_errbuf *eb);
/* What was not committed is forgotten. */
void store_writer_close(struct store_writer *w);

struct store_counts {
    uint64_t objects, objects_new, bytes_new /* before compression */, bytes_packed;
};
void store_writer_counts(const struct store_writer *w, struct store_counts *out);

/* Contents of one file, in order. Gives kind of content, score, size and inline data in entry;
 * inline data borrows from the stream. One stream is reused for any number of files. */
struct store_stream;
cg_err store_stream_new(struct store_writer *w, struct store_stream **out);
void store_stream_free(struct store_stream *f);
void store_stream_begin(struct store_stream *f);
/* Room for len bytes at the end of what was written, to be filled and passed to store_stream_wrote;
 * saves a copy. *room is at least 1. */
uint8_t *store_stream_room(struct store_stream *f, size_t *room);
cg_err store_stream_wrote(struct store_stream *f, size_t len, struct cg_errbuf *eb);
cg_err store_stream_write(struct store_stream *f, const void *data, size_t len,
                          struct cg_errbuf *eb);
cg_err store_stream_hole(struct store_stream *f, uint64_t len, struct cg_errbuf *eb);
/* A chunk that is in the store: it is linked, not read. What was written before it ends here. */
cg_err store_stream_chunk(struct store_stream *f, const struct store_score *score, uint64_t len,
                          struct cg_errbuf *eb);
cg_err store_stream_end(struct store_stream *f, struct store_entry *entry, struct cg_errbuf *eb);

/* A directory: entries are added in the order of their names. */
struct store_builder;
cg_err store_builder_new(struct store_writer *w, struct store_builder **out);
void store_builder_free(struct store_builder *b);
cg_err store_builder_add(struct store_builder *b, const struct store_entry *e,
                         struct cg_errbuf *eb);
cg_err store_builder_end(struct store_builder *b, struct store_score *root, struct cg_errbuf *eb);

/* A change of one name of a directory. */
struct store_edit {
    struct cg_span name;
    const struct store_entry *entry; /* NULL: the name goes */
};
/* The directory root (NULL: an empty one) with edits, which stand in the order of their names. */
cg_err store_dir_edit(struct store_writer *w, const struct store_score *root,
                      const struct store_edit *edits, size_t count, struct store_score *out,
                      struct cg_errbuf *eb);

/* Puts a snapshot node; its score is what a reference names. */
cg_err store_snapshot_put(struct store_writer *w, const struct store_snapshot *snap,
                          struct store_score *out, struct cg_errbuf *eb);

struct store_ref_change {
    const char *name;
    uint64_t epoch;                  /* that it has now; 0: it is not there */
    const struct store_score *score; /* NULL: the name goes */
    uint64_t time_ns;
};
enum store_commit {
    STORE_GOES_ON, /* the writer will link more of what it put or found until now */
    STORE_SETTLED, /* it goes on, but everything that it will need is linked: collection need not
                      wait for it */
    STORE_FINAL,   /* its lease ends */
};
/* Makes everything that was put durable, changes the references, all at one instant, and reads the
 * newest state. CG_EAGAIN: a reference has another epoch; nothing was changed but what was put is
 * kept. */
cg_err store_commit(struct store_writer *w, const struct store_ref_change *changes, size_t count,
                    enum store_commit how, struct cg_errbuf *eb);

/* ---- one holder, and a journal: for trees that are changed in place ---- */

/* A lease that refuses a second one of its kind (CG_EBUSY, unless gone says that the other's
 * process, by its who, is no more). kind and who have at most 64 bytes together. It lasts five
 * minutes. */
struct store_hold;
typedef bool store_gone_fn(void *aux, const char *who);
cg_err store_hold_take(struct store *s, const char *kind, const char *who, store_gone_fn *gone,
                       void *aux, struct store_hold **out, struct cg_errbuf *eb);
/* Five minutes from now. When ref has that epoch still, its holder holds no score that is not
 * linked, and collection need not wait for it. CG_EEXPIRED: it was over. */
cg_err store_hold_renew(struct store_hold *h, const char *ref, uint64_t epoch,
                        struct cg_errbuf *eb);
/* For certain, and for so many nanoseconds more: nobody else has it. */
bool store_hold_lasts(const struct store_hold *h, uint64_t ns);
void store_hold_drop(struct store_hold *h);

/* A segment of the journal: an append-only file of sealed frames. The caller holds the journal. */
struct store_journal;
enum {
    STORE_JOURNAL_FRAME_BYTES_MAX = 256 << 10,
    STORE_JOURNAL_FIRST = 64, /* the first frame */
    STORE_JOURNAL_GROUP_MAX = 16
};
cg_err store_journal_create(struct store *s, uint64_t number, struct store_journal **out,
                            struct cg_errbuf *eb);
/* For reading. CG_ENOENT; CG_EBADFORMAT: its head was never written in whole. */
cg_err store_journal_open(struct store *s, uint64_t number, struct store_journal **out,
                          struct cg_errbuf *eb);
/* What a frame holds, in two parts that may lie apart; one may be empty. */
struct store_journal_frame {
    struct cg_span head, body;
    uint64_t at; /* its place, once it is appended */
};
/* Appends up to STORE_JOURNAL_GROUP_MAX frames, one after the other. *done of them were appended:
 * fewer than count with an error only. */
cg_err store_journal_append(struct store_journal *j, struct store_journal_frame *f, size_t count,
                            size_t *done, struct cg_errbuf *eb);
/* What was appended before, and the segment's name, are durable. Another thread may do it, one at a
 * time, while frames are appended and read. */
cg_err store_journal_sync(struct store_journal *j, struct cg_errbuf *eb);
/* The frame at a place, and the place behind it. Borrows until the next call on j.
 * CG_ENOENT: no whole frame is there. */
cg_err store_journal_read(struct store_journal *j, uint64_t at, struct cg_span *out, uint64_t *next,
                          struct cg_errbuf *eb);
uint64_t store_journal_bytes(const struct store_journal *j);
struct store_journal *store_journal_get(struct store_journal *j); /* each is closed once more */
void store_journal_close(struct store_journal *j);
void store_journal_remove(struct store *s, uint64_t number);
/* In order; the caller frees them. */
cg_err store_journal_list(struct store *s, uint64_t **numbers, size_t *count, struct cg_errbuf *eb);

/* ---- care ---- */

/* Told of progress in any long phase; total is 0 while unknown. */
struct store_progress {
    void (*tell)(void *aux, const char *phase, uint64_t done, uint64_t total);
    void *aux;
};

struct store_collected {
    uint64_t objects, bytes; /* freed, before compression */
    uint64_t disk_before, disk_after;
    uint64_t packs_rewritten;
    uint64_t waiting; /* objects that go when the writers of now have ended */
};
/* Frees what no reference reaches. With dry_run only counts. */
cg_err store_collect(struct store *s, bool dry_run, const struct store_progress *p,
                     struct store_collected *out, struct cg_errbuf *eb);

struct store_checked {
    uint64_t packs, frames, objects, nodes, bytes;
    uint64_t damaged;    /* frames that are not what was written */
    uint64_t missing;    /* objects that an edge leads to and nothing holds */
    uint64_t miscounted; /* objects whose count of edges is wrong */
    uint64_t garbage;    /* objects to which no edge leads */
};
/* Checks every structure of a live store. With data every object is read and its score checked. One
 * line a finding goes to report (may be NULL). CG_EIO when something is wrong. */
typedef void store_report_fn(void *aux, const char *line);
cg_err store_check(struct store *s, bool data, const struct store_progress *p,
                   store_report_fn *report, void *aux, struct store_checked *out,
                   struct cg_errbuf *eb);

/* Reads ciphertext and compares the unkeyed hashes, from *cursor on (0: the start) for at most
 * budget bytes; *cursor is 0 after the last. Needs no key: s may be NULL. */
cg_err store_scrub(const struct store_io *io, uint64_t *cursor, uint64_t budget_bytes,
                   const struct store_progress *p, store_report_fn *report, void *aux,
                   struct store_checked *out, struct cg_errbuf *eb);

struct store_repaired {
    uint64_t packs_mended; /* by their parity */
    uint64_t packs_lost, packs_rewritten, objects_fetched;
    uint64_t objects_missing; /* that edges lead to still */
    uint64_t refs_lost,
        refs_found; /* snapshots without their node; snapshots that no state named */
};
/* Makes the store whole again as far as it goes: damaged frames are restored from parity, objects
 * fetched from copy (may be NULL; a store of the same domain), and the index is made anew from the
 * packs. */
cg_err store_repair(struct store *s, struct store *copy, const struct store_progress *p,
                    store_report_fn *report, void *aux, struct store_repaired *out,
                    struct cg_errbuf *eb);

struct store_copied {
    uint64_t objects, bytes, objects_there;
};
/* Copies the snapshot that a reference of src names to dst under the same name: only what dst
 * lacks, each object checked. Between domains contents are cut and scored anew. */
cg_err store_copy(struct store *src, struct store_writer *dst, const struct store_refinfo *ref,
                  const struct store_progress *p, struct store_copied *out, struct cg_errbuf *eb);

/* Parity for packs that have none: one file beside each, that mends up to lost (1..8) of every 16
 * blocks. */
cg_err store_parity(struct store *s, uint32_t lost, const struct store_progress *p, uint64_t *packs,
                    struct cg_errbuf *eb);

struct store_stats {
    uint64_t packs, pack_bytes, live_bytes /* before compression */, raw_bytes, runs, entries,
        index_bytes, refs, leases, state_number, space_free, space_total,
        index_reads; /* pages of the index that single look-ups read since it was opened */
};
cg_err store_stats(struct store *s, struct store_stats *out, struct cg_errbuf *eb);

/* Text of a structure, for people: "config", "state", "pack HEX", "run HEX", "node SCORE". */
cg_err store_dump(struct store *s, const char *what, struct cg_str *out, struct cg_errbuf *eb);

#endif
