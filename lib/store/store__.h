/* What the parts of the store share: the formats in one place, and the structures in memory.
 *
 * Parts, each using only those before it: io, key, seal (AEAD and scores), chunk; frame, pack,
 * ahead; run, index, near; state; store (open, fetch); node, dir, file; writer; collect, check,
 * scrub, repair, copy, parity. The journal (sealer, journal) uses io, key, seal alone.
 *
 * All numbers on disk are little-endian. docs/store-format.md is the same for readers of other
 * languages.
 */
#ifndef COGNU_STORE__H
#define COGNU_STORE__H

#include <cognu/store.h>
#include <pthread.h>

/* ---- formats ---- */

enum {
    KEY_BYTES = 32,
    TAG_BYTES = 16,
    SALT_BYTES = 16,
    ID_BYTES = 16,
    FORMAT_VERSION = 1,

    /* config: magic 8, version 2, features 2, id 16, slots 4 (two used), each SLOT_BYTES, SHA-256
       of all that */
    CONFIG_SLOTS = 4,
    SLOT_BYTES = 4 + SALT_BYTES + 2 * KEY_BYTES + TAG_BYTES,
    CONFIG_HEAD_BYTES = 8 + 2 + 2 + ID_BYTES,
    CONFIG_BYTES = CONFIG_HEAD_BYTES + CONFIG_SLOTS * SLOT_BYTES + 32,

    /* state: magic 8, version 2, features 2, zero 4, number 8, id 16, salt 16, then the sealed body
     */
    STATE_HEAD_BYTES = 56,
    STATE_IN_UNITS = 1, /* feature: packs' bytes of objects are counted in whole units; stores
                           that were made before have states without */
    STATE_BYTES_MAX = 256 << 20, /* a million references and as many packs */
    STATES_KEPT = 8,             /* older ones are removed; a reader that was slow tries again */

    /* pack: magic 8, version 2, features 2, number 4, id 16, salt 16, zero 16; frames; an end
       record */
    PACK_HEAD_BYTES = 64,
    PACK_BYTES_MAX = 64 << 20,    /* a pack is closed once it is longer; small enough to rewrite */
    PACK_OBJECTS_MAX = 128 << 10, /* or has more; their list is held in memory now and then */
    /* frame: magic 4, algorithm 1, kind 1, objects 2, directory 4, data 4, raw 4, number 4, zero 8,
       hash 16 */
    FRAME_HEAD_BYTES = 48,
    FRAME_AAD_BYTES = 32, /* the head without its checksum */
    FRAME_CHECK_BYTES = 16,
    FRAME_RAW_BYTES = 512 << 10, /* a frame is closed once it would be longer */
    FRAME_RAW_BYTES_MAX = FRAME_RAW_BYTES + STORE_NODE_BYTES_MAX,
    FRAME_OBJECTS_MAX = 4096,
    OBJECT_BYTES = STORE_SCORE_BYTES + 4, /* of a frame's directory: score, length */
    FRAME_BYTES_MAX =
        FRAME_HEAD_BYTES + FRAME_OBJECTS_MAX * OBJECT_BYTES + FRAME_RAW_BYTES_MAX + 2 * TAG_BYTES,
    /* end: magic 4, frames 4, bytes before it 8, SHA-256 of the pack's head and every frame's
     * checksum
     */
    PACK_END_BYTES = 48,

    /* run: magic 8, version 2, kind 2, number 4, id 16, salt 16, zero 16; pages of entries; pages
       of fences */
    RUN_HEAD_BYTES = 64,
    PAGE_BYTES = 4096,
    ENTRY_BYTES = 40,
    PAGE_ENTRIES = (PAGE_BYTES - TAG_BYTES) / ENTRY_BYTES, /* 102, which fills the page exactly */
    PAGE_FENCES = (PAGE_BYTES - TAG_BYTES) / 8,
    FILTER_BYTES = 128, /* of each page of entries: 10 bits an entry */
    PAGE_FILTERS = (PAGE_BYTES - TAG_BYTES) / FILTER_BYTES,

    CHUNK_BYTES_MIN = 4 << 10,
    CHUNK_BYTES_NORMAL = 10 << 10, /* after it a boundary is 16 times as likely */
};
#define CONFIG_MAGIC "cgnustor"
#define STATE_MAGIC  "cgnustat"
#define PACK_MAGIC   "cgnupack"
#define RUN_MAGIC    "cgnurun1"
#define FRAME_MAGIC  0x4d524643u /* "CFRM" */
#define END_MAGIC    0x444e4543u /* "CEND" */

enum algorithm { ALG_NONE = 0, ALG_ZSTD = 1, ALG_LZ4 = 2 };
enum run_kind {
    RUN_ENTRIES = 0,
    RUN_CONDEMNED = 1,
    RUN_TEMPORARY = 2, /* in no state: what a collection does not keep in memory; has no filters */
};

/* ---- growing arrays ---- */

/* Makes room for one more item; false without memory. */
bool array_room(void *array, size_t *cap, size_t count, size_t item_bytes);

/* ---- io.c: what every part does with files ---- */

cg_err file_read_all(const struct store_io *io, const char *path, size_t cap, struct cg_str *out,
                     struct cg_errbuf *eb);
/* Writes a new file, durable with its name when this returns. */
cg_err file_publish(const struct store_io *io, const char *folder, const char *path,
                    const void *data, size_t len, bool replace, struct cg_errbuf *eb);
enum { PATH_BYTES = 64 };
void numbered_path(char out[PATH_BYTES], const char *folder, uint64_t number, int digits);
/* The number that a name of so many hexadecimal digits says; false: it is no such name. */
bool numbered_name(const char *name, int digits, uint64_t *number);

/* ---- key.c ---- */

struct keys {
    uint8_t store[KEY_BYTES], domain[KEY_BYTES];
};
void key_derive(const uint8_t key[KEY_BYTES], const char *label, const uint8_t *salt,
                size_t salt_len, void *out, size_t len);
struct config {
    uint8_t bytes[CONFIG_BYTES];
};
cg_err config_make(struct config *c, const uint8_t id[ID_BYTES]);
/* Wraps the keys under a secret, in the slot of its kind. */
cg_err config_wrap(struct config *c, const struct store_options *o,
                   const struct store_secret *secret, const struct keys *k, struct cg_errbuf *eb);
cg_err config_unwrap(const struct config *c, const struct store_secret *secret, struct keys *k,
                     struct cg_errbuf *eb);
/* Reads config, or its copy where that is damaged. */
cg_err config_load(const struct store_io *io, struct config *c, struct cg_errbuf *eb);
cg_err config_save(const struct store_io *io, struct config *c, bool replace, struct cg_errbuf *eb);
cg_err recovery_make(const struct cg_env *env, char out[STORE_RECOVERY_CHARS]);
cg_err config_dump(const struct config *c, struct cg_str *out);

/* ---- seal.c: AEAD and hashes, with contexts that are set up once ---- */

struct aead;
struct aead *aead_new(const uint8_t key[KEY_BYTES], bool encrypt); /* NULL without memory */
void aead_free(struct aead *a);
/* out has len + TAG_BYTES bytes; no nonce is used twice under one key. */
void aead_seal(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len, const void *in,
               size_t len, uint8_t *out);
/* The same of what lies in two places; either may be empty. */
void aead_seal_parts(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len,
                     struct cg_span head, struct cg_span body, uint8_t *out);
/* in has len + TAG_BYTES bytes; false: these are not the bytes that were sealed. */
bool aead_open(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len, const uint8_t *in,
               size_t len, void *out);
struct scorer;
struct scorer *scorer_new(const uint8_t domain[KEY_BYTES]);
void scorer_free(struct scorer *c);
void scorer_score(struct scorer *c, enum store_object kind, const void *data, size_t len,
                  struct store_score *out);
/* Those of several objects: twice as fast, where the processor can. */
void scorer_scores(struct scorer *c, enum store_object kind, const struct cg_span *object,
                   uint32_t n, struct store_score *out);
enum { SCORES_MAX = 64 }; /* at once */
/* A checksum that needs no secret: GMAC under a key of zeros, for it runs at several times the
 * speed of SHA-256. It finds rot, not malice; against that stand the seals. */
struct checker;
struct checker *checker_new(void);
void checker_free(struct checker *c);
void checker_sum(struct checker *c, const void *head, size_t head_len, const void *body, size_t len,
                 uint8_t out[TAG_BYTES]);
struct hasher; /* SHA-256 */
struct hasher *hasher_new(void);
void hasher_free(struct hasher *h);
void hasher_start(struct hasher *h);
void hasher_add(struct hasher *h, const void *data, size_t len);
void hasher_end(struct hasher *h, uint8_t out[32]);

/* ---- chunk.c ---- */

struct chunker {
    uint64_t gear[256];
};
void chunker_init(struct chunker *c, const uint8_t domain[KEY_BYTES]);
/* Length of the first chunk of data. When it equals len and last is false more bytes are needed,
 * unless len is STORE_CHUNK_BYTES_MAX. */
size_t chunker_cut(const struct chunker *c, const uint8_t *data, size_t len);

/* ---- frame.c: objects gathered, compressed ---- */

struct frame {
    uint8_t kind; /* enum store_object */
    uint32_t count, raw_len;
    uint8_t *raw; /* FRAME_RAW_BYTES_MAX */
    struct store_score score[FRAME_OBJECTS_MAX];
    uint32_t len[FRAME_OBJECTS_MAX];
    uint32_t number; /* of this writer, when it was begun */
    enum algorithm alg;
    uint8_t *packed; /* with room for the tag */
    uint32_t packed_len;
};
struct frame *frame_new(void);
void frame_free(struct frame *f);
void frame_reset(struct frame *f, enum store_object kind, uint32_t number);
bool frame_fits(const struct frame *f, size_t len);
struct packer; /* a thread's own compressor */
struct packer *packer_new(enum store_level level);
void packer_free(struct packer *p);
cg_err frame_pack(struct frame *f, struct packer *p);
/* raw has FRAME_RAW_BYTES_MAX bytes. */
cg_err frame_unpack(struct packer *p, enum algorithm alg, const uint8_t *in, size_t len,
                    uint8_t *raw, size_t raw_len);

/* ---- pack.c ---- */

struct frame_head {
    uint8_t alg, kind;
    uint16_t objects;
    uint32_t dir_len, data_len, raw_len, number; /* lengths without tags */
    uint8_t check[FRAME_CHECK_BYTES];
};
/* Decodes and checks a head; CG_EBADFORMAT. */
cg_err frame_head_decode(const uint8_t bytes[FRAME_HEAD_BYTES], struct frame_head *h);
uint32_t frame_head_total(const struct frame_head *h); /* bytes of the frame in its pack */

struct pack_out {
    const struct store_io *io;
    uint32_t id, frames, objects;
    uint64_t at;
    void *file;
    struct aead *aead;
    struct checker *check;
    struct hasher *chain;
    uint8_t *buf; /* FRAME_BYTES_MAX */
};
cg_err pack_create(struct store *s, uint32_t id, struct pack_out **out, struct cg_errbuf *eb);
/* Seals and appends a packed frame; gives its place. */
cg_err pack_append(struct pack_out *p, const struct frame *f, uint32_t *at, struct cg_errbuf *eb);
/* Ends the pack and makes it durable. */
cg_err pack_end(struct pack_out *p, struct cg_errbuf *eb);
void pack_out_free(struct pack_out *p);

struct pack_in {
    uint32_t id;
    uint64_t bytes;
    void *file;
    struct aead *aead;
    uint64_t used; /* for choosing whom to close */
};
cg_err pack_open(struct store *s, uint32_t id, struct pack_in *p, struct cg_errbuf *eb);
void pack_close(const struct store_io *io, struct pack_in *p);
/* A frame in memory: its directory, and its data once loaded. */
struct frame_in {
    uint32_t pack, at, count, raw_len;
    uint32_t next; /* the place behind it */
    uint32_t run;  /* frames right before it in its pack that were loaded one after another */
    uint8_t kind;
    uint64_t used;
    uint64_t checked[FRAME_OBJECTS_MAX / 64]; /* objects that were compared with their scores */
    uint8_t *raw;
    struct store_score *score;
    uint32_t *start; /* count + 1 of them */
    uint32_t cap;    /* of score; start has one more */
};
void frame_in_fini(struct frame_in *f);
/* Object i is of its score; computed once while the frame is there, for all together of which so
 * many bytes from there on are wanted. */
bool frame_check(struct frame_in *f, uint32_t i, uint64_t bytes, struct scorer *c);
uint32_t frame_objects_in(const struct frame_in *f, uint64_t bytes); /* that begin in the first */
bool frame_check_first(struct frame_in *f, uint32_t n, struct scorer *c); /* all of the first n */
struct load { /* a thread's own means of loading frames */
    struct packer *packer;
    uint8_t *buf; /* FRAME_BYTES_MAX */
};
cg_err load_init(struct load *l);
void load_fini(struct load *l);
/* With data false only the directory is read. */
cg_err pack_load(const struct store_io *io, struct pack_in *p, struct load *l, uint32_t at,
                 bool data, struct frame_in *out, struct cg_errbuf *eb);
/* True at the end record or the end of the file. */
cg_err pack_at_end(const struct store_io *io, struct pack_in *p, uint64_t at, bool *end);

/* ---- run.c: immutable sorted runs ---- */

/* Where an object lies and how many edges lead to it; or, with kind 0, only a change of that
 * number. */
struct entry {
    struct store_score score;
    uint32_t pack, at;
    uint16_t slot;
    uint8_t kind;  /* enum store_object, 0: no place */
    uint16_t size; /* in units of 64 bytes, rounded up */
    int32_t count;
};
enum { ENTRY_SIZE_UNIT = 64 };
/* Sizes of objects are counted so, in entries and in pack records. */
static inline uint32_t object_units(uint32_t len)
{
    return (len + ENTRY_SIZE_UNIT - 1) / ENTRY_SIZE_UNIT;
}
int score_cmp(const struct store_score *a, const struct store_score *b);
struct run_record {
    uint32_t id;
    uint16_t kind;
    uint64_t entries;
};
struct run {
    struct run_record rec;
    void *file;
    struct aead *aead;
    uint8_t head[RUN_HEAD_BYTES];
    uint64_t *fence; /* the first 8 bytes of each page's first score, big-endian */
    uint8_t *filter; /* FILTER_BYTES for each page; NULL: not read yet */
    uint32_t pages;
    bool wanted;
    struct entry *mem; /* these are its entries, and there is no file; NULL: the file has them */
    uint8_t mark;      /* of a temporary one, enum mark: what its entries mean in a merge */
};
enum mark { MARK_FELL = 1, MARK_FRESH = 2, MARK_DEAD = 4 };
cg_err run_open(struct store *s, const struct run_record *rec, struct run **out,
                struct cg_errbuf *eb);
void run_close(const struct store_io *io, struct run *r);
void run_forget_filter(struct run *r); /* until something is looked up in it */
/* false and CG_OK: not there. */
cg_err run_find(struct store *s, struct run *r, const struct store_score *score, struct entry *out,
                bool *found, struct cg_errbuf *eb);
enum { CURSOR_PAGES = 16 };
struct run_cursor {
    struct run *run;
    uint32_t page, have; /* next page to read; pages in buf */
    uint64_t next;       /* entry to give next */
    uint8_t *buf;
    struct entry now;
    bool end;
};
cg_err cursor_open(struct store *s, struct run *r, struct run_cursor *c, struct cg_errbuf *eb);
cg_err cursor_next(struct store *s, struct run_cursor *c, struct cg_errbuf *eb);
void cursor_close(struct run_cursor *c);
struct run_out;
/* A new run of at most so many entries. */
cg_err run_create(struct store *s, uint32_t id, enum run_kind kind, uint64_t entries_max,
                  struct run_out **out, struct cg_errbuf *eb);
cg_err run_add(struct run_out *r, const struct entry *e, struct cg_errbuf *eb);
bool run_empty(const struct run_out *r);
/* Durable when it returns; frees r. */
cg_err run_end(struct run_out *r, struct run_record *rec, struct cg_errbuf *eb);
void run_abandon(struct run_out *r); /* removes the file; frees r; NULL: nothing */
/* What cannot be removed now a collector finds; who still reads it has it open. */
void run_remove(struct store *s, enum run_kind kind, uint32_t id);

/* Cache of decrypted pages: two ways a set, the older gives way. */
struct page_slot {
    uint32_t run, page; /* run 0: free */
    uint32_t used;
};
struct page_cache {
    struct page_slot *slot;
    uint8_t *bytes;
    uint32_t count, clock;
    uint64_t reads; /* pages that were not there */
};

/* ---- index.c ---- */

/* Entries in memory, by score. */
struct memtable {
    struct entry *slot;
    uint8_t *used;
    uint32_t cap, count;
};
/* Three quarters of a table of 128 Ki slots: one more would double it. */
enum { MEMTABLE_ENTRIES_MAX = 96 << 10 };
void memtable_fini(struct memtable *m);
void memtable_clear(struct memtable *m);
struct entry *memtable_find(const struct memtable *m, const struct store_score *score);
/* The entry of that score, made without place and count when it was not there; NULL without memory.
 */
struct entry *memtable_at(struct memtable *m, const struct store_score *score);
/* The entries in order of scores; the caller frees the array. NULL without memory. */
struct entry *memtable_sorted(const struct memtable *m);

/* All that the index says of one score: the place, the sum of counts, how many places. */
struct sum {
    struct store_score score;
    struct entry place; /* kind 0: none */
    int64_t count;
    uint32_t places;
    bool condemned;
    uint8_t marks; /* of the runs that have it; entries of those marked dead add nothing */
};
cg_err index_sync(struct store *s, struct cg_errbuf *eb); /* runs open as the state says */
void index_fini(struct store *s);
cg_err index_find(struct store *s, const struct store_score *score, struct sum *out,
                  struct cg_errbuf *eb);
/* For dedup: there is a place and it is not condemned. */
cg_err index_has(struct store *s, const struct store_score *score, bool *has, struct cg_errbuf *eb);

/* ---- near.c: what lies beside objects that were found ---- */

struct placed {
    uint32_t pack, at;
};
struct near {
    struct store_score *score; /* NULL: none is kept. All zero: free */
    struct placed learned[8];  /* frames, lately */
    uint32_t next;             /* of learned, to be replaced */
    uint64_t epoch, condemned; /* of the state of which they are true */
    struct frame_in frame;
};
cg_err near_init(struct near *n);
void near_fini(struct near *n);
void near_sync(struct store *s); /* the state is another */
/* It is in the index, unless it is condemned. */
bool near_has(const struct store *s, const struct store_score *score);
/* Remembers what lies in the frame of an object that the index has. */
void near_learn(struct store *s, const struct entry *place);

/* Runs side by side in the order of scores. */
struct merge {
    struct store *s;
    struct run_cursor *cursor;
    uint32_t count;
};
cg_err merge_open(struct store *s, struct run *const *runs, uint32_t count, struct merge *m,
                  struct cg_errbuf *eb);
/* CG_ENOENT at the end. each (may be NULL) is told of every entry. */
typedef cg_err entry_fn(void *aux, const struct entry *e);
cg_err merge_next(struct merge *m, struct sum *out, entry_fn *each, void *aux,
                  struct cg_errbuf *eb);
uint64_t merge_entries(const struct merge *m); /* at most so many sums come */
void merge_close(struct merge *m);

/* ---- spill.c ---- */

struct spill {
    struct store *s;
    struct memtable m;
    struct run **run; /* temporary ones */
    size_t runs, runs_cap;
};
/* The entry of that score, empty when it is not in memory: what is added up in a merge may have
 * others before it. */
cg_err spill_at(struct spill *p, const struct store_score *score, struct entry **out,
                struct cg_errbuf *eb);
/* All of them in the order of scores, beside a run (NULL: none); nothing is added any more. */
cg_err spill_merge(struct spill *p, struct run *more, struct merge *m, struct cg_errbuf *eb);
void spill_fini(struct spill *p); /* after merge_close */

/* ---- state.c ---- */

struct pack_record {
    uint32_t id;
    uint64_t bytes; /* of the file */
    /* Before compression, in bytes of whole units: all objects, and those of them to which the
     * index led when it was last made anew. Equal: the index has every one. */
    uint64_t raw, live;
};
struct ref_record {
    struct store_score score;
    uint64_t epoch, time_ns;
    char *name;
};
enum lease_role {
    LEASE_WRITER,
    LEASE_COLLECTOR, /* one at a time */
    LEASE_HOLD,      /* of something in the store (hold.c): it writes no files */
    LEASE_ROLES,
};
struct lease_record {
    uint64_t fence, epoch; /* epoch: the store's, when this writer last knew all of the index */
    uint64_t expires_ns;
    uint32_t pack_next, pack_end, run_next, run_end; /* numbers that it may use */
    uint32_t pack_low,
        run_low; /* files of these numbers and above may be its, not yet in a state */
    uint8_t role;
    char holder[65];
};
struct state {
    uint64_t number, wall_ns, epoch, fence_next;
    uint32_t pack_next, run_next;
    uint64_t condemned_epoch;
    struct pack_record *pack;
    struct run_record *run; /* RUN_CONDEMNED among them at most once */
    struct ref_record *ref; /* in the order of names */
    struct lease_record *lease;
    size_t packs, packs_cap, runs, runs_cap, refs, refs_cap, leases, leases_cap;
};
void state_fini(struct state *st);
cg_err state_encode(const struct state *st, struct cg_str *out);
cg_err state_decode(const void *data, size_t len, struct state *st);
cg_err state_write(struct store *s, const struct state *st, bool *taken, struct cg_errbuf *eb);
cg_err state_load(struct store *s, bool *changed, struct cg_errbuf *eb);
/* For repair: the newest that is whole, or an empty one; *older: a newer one is not. The next
 * commit goes above all. */
cg_err state_load_whole(struct store *s, bool *older, struct cg_errbuf *eb);
/* Changes the state: edit is called on a copy of the newest, again when another was first. */
typedef cg_err state_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb);
cg_err state_commit(struct store *s, state_edit *edit, void *arg, struct cg_errbuf *eb);
struct lease_record *state_lease(struct state *st, uint64_t fence);
struct ref_record *state_ref(struct state *st, const char *name);
struct pack_record *state_pack(struct state *st, uint32_t id);
bool state_drop_run(struct state *st, uint32_t id); /* false: it is not there */
cg_err state_dump(struct store *s, struct cg_str *out);

/* ---- lease.c ---- */

enum {
    LEASE_MS = 5 * 60 * 1000,
    LEASE_ENTRIES_A_MS = 20, /* of the index, that a collector goes through on a slow machine */
    LEASE_PACKS = 256,       /* numbers given at once */
    LEASE_RUNS = 256,
    LEASE_FEW = 16, /* so many left ask for more */
};
/* Takes a lease; CG_EBUSY: another collects. The numbers of packs and runs are this writer's. */
cg_err lease_take(struct store *s, const char *holder, enum lease_role role,
                  struct lease_record *out, struct cg_errbuf *eb);
/* For the edits of others: adds one. */
cg_err lease_add(struct store *s, struct state *next, const char *holder, enum lease_role role,
                 struct lease_record *out);
/* Makes the lease last; gives new numbers where few are left. */
cg_err lease_renew(struct store *s, uint64_t fence, struct lease_record *now, struct cg_errbuf *eb);
/* Numbers from these on were not used. */
void lease_drop(struct store *s, uint64_t fence, uint32_t pack_next, uint32_t run_next);
void lease_end(struct state *next, uint64_t fence, uint32_t pack_next, uint32_t run_next);
/* For the edits of others: forgets those that are over; CG_EEXPIRED when fence is not there. */
cg_err lease_check(struct store *s, struct state *next, uint64_t fence, struct lease_record **out,
                   struct cg_errbuf *eb);

/* ---- store.c ---- */

struct store {
    const struct store_io *io;
    struct cg_env env;
    struct store_options o;
    uint8_t id[ID_BYTES];
    struct config config;
    struct keys keys;
    struct scorer *scorer;
    struct chunker chunker;
    struct state state;
    struct cg_str state_text; /* the body that state was decoded from */
    struct run **run;
    size_t runs, runs_cap;
    struct run *condemned;
    struct page_cache pages;
    struct near near;
    struct frame_in *frame; /* cache, o.cache_frames of them */
    struct pack_in *pack;   /* open ones */
    uint64_t clock;
    struct load load;
    struct ahead *ahead;   /* NULL: nothing is loaded before it is asked for */
    struct sealer *sealer; /* NULL: who appends to the journal seals alone */
    struct entry last[3];  /* what was got last, by kind: its neighbour is, as a rule, the next */
    uint64_t wanted;       /* bytes of objects that are asked for at once; 0: of one */
    bool behind;           /* the runs are not all those of the state */
    bool older_state;      /* opened for repair, and the newest state is damaged or gone */
    struct store_writer *writer; /* the one that is open, whose objects are found too; or NULL */
};
enum { PACKS_OPEN_MAX = 16 };
/* The frame at a place, from the cache or the disk. Borrows until the next call. */
cg_err store_frame(struct store *s, uint32_t pack, uint32_t at, struct frame_in **out,
                   struct cg_errbuf *eb);
cg_err store_pack(struct store *s, uint32_t id, struct pack_in **out, struct cg_errbuf *eb);
/* As store_get; so many bytes will be asked for, from this object on, as they were put. */
cg_err store_get_on(struct store *s, enum store_object kind, const struct store_score *score,
                    uint64_t bytes, struct cg_span *out, struct cg_errbuf *eb);
void store_forget_pack(struct store *s, uint32_t id); /* its file goes or changes */
/* The bytes at a place, checked against the score. */
cg_err store_get_at(struct store *s, const struct entry *place, const struct store_score *score,
                    struct cg_span *out, struct cg_errbuf *eb);
void tell(const struct store_progress *p, const char *phase, uint64_t done, uint64_t total);
void reportf(store_report_fn *report, void *aux, const char *fmt, ...) CG_PRINTF(3, 4);

/* ---- node.c ---- */

enum node_type { NODE_DIR = 'D', NODE_LIST = 'L', NODE_SNAPSHOT = 'S' };
enum { NODE_HEAD_BYTES = 8, NODE_LEVELS_MAX = 16 };
/* A node being read. Level 0 of a list: pieces; of a directory: entries. Above: children. */
struct node {
    uint8_t type, level;
    uint32_t count, done;
    struct cg_buf body;
};
cg_err node_decode(struct cg_span bytes, struct node *n);
struct piece {
    struct store_score score; /* all zero: a hole */
    uint64_t len;
};
bool node_next_piece(struct node *n, struct piece *p); /* false at the end or when body.bad */
bool node_next_entry(struct node *n, struct store_entry *e);
/* name: the last one below the child. */
bool node_next_child(struct node *n, struct store_score *score, struct cg_span *name);
bool score_is_zero(const struct store_score *s);
/* Every edge of a node's bytes: kind of the child and its score. CG_EBADFORMAT. */
typedef cg_err edge_fn(void *aux, enum store_object kind, const struct store_score *child);
cg_err node_edges(struct cg_span bytes, edge_fn *fn, void *aux);
cg_err entry_encode(struct cg_str *out, const struct store_entry *e);
cg_err node_dump(struct cg_span bytes, struct cg_str *out);
/* The bytes of a node by its score, which stay as they are while others are fetched. */
cg_err node_fetch(struct store *s, const struct store_score *score, struct cg_str *keep,
                  struct cg_errbuf *eb);

/* ---- tree.c: nodes gathered level by level, cut where the contents say so ---- */

struct tree_level {
    struct cg_str items;
    uint32_t count;
    uint64_t bytes; /* of file contents below */
    uint8_t last_len;
    uint8_t last[STORE_NAME_BYTES_MAX]; /* last name below */
};
struct tree {
    struct store_writer *w;
    enum node_type type;
    struct tree_level level[NODE_LEVELS_MAX];
    struct cg_str node; /* being put */
};
void tree_init(struct tree *t, struct store_writer *w, enum node_type type);
void tree_fini(struct tree *t);
void tree_reset(struct tree *t);
/* An item of level 0: its encoding, bytes of contents, last name; cut: a leaf may end after it. */
cg_err tree_add(struct tree *t, const void *item, size_t len, uint64_t bytes, struct cg_span name,
                bool cut, struct cg_errbuf *eb);
/* The root; an empty tree is one empty leaf. */
cg_err tree_end(struct tree *t, struct store_score *root, struct cg_errbuf *eb);

/* ---- writer.c ---- */

struct pool;
struct store_writer {
    struct store *s;
    uint64_t fence, renew_ns;
    bool leased;
    enum store_level level;
    struct memtable mem;
    struct frame *open[3]; /* being filled, by kind of object; NULL: none yet */
    uint32_t frames;       /* number of the next */
    struct pool *pool;
    uint32_t pack_next, pack_end, run_next, run_end; /* numbers that are ours; pool->lock */
    struct pack_record *pack;                        /* written, not yet in a state; pool->lock */
    size_t packs, packs_cap;
    struct store_counts counts;
    uint64_t bytes_committed; /* of counts.bytes_new */
    cg_err failed;            /* from the first failure on everything fails */
};
cg_err writer_open(struct store *s, const char *holder, enum store_level level,
                   enum lease_role role, struct store_writer **out, struct cg_errbuf *eb);
/* Puts an object unless it is there; *score is set. */
cg_err writer_put(struct store_writer *w, enum store_object kind, const void *data, size_t len,
                  struct store_score *score, struct cg_errbuf *eb);
/* The same, its score known. */
cg_err writer_put_scored(struct store_writer *w, enum store_object kind, const void *data,
                         size_t len, const struct store_score *score, struct cg_errbuf *eb);
/* Appends an object without asking whether it is there, for objects that move; edges are not
 * counted. */
cg_err writer_append(struct store_writer *w, enum store_object kind, const void *data, size_t len,
                     const struct store_score *score, struct cg_errbuf *eb);
/* All frames lie in durable packs, and the memtable says where. */
cg_err writer_flush(struct store_writer *w, struct cg_errbuf *eb);
cg_err writer_edge(struct store_writer *w, const struct store_score *child, int32_t by);
/* Writes a memtable as a run that no state names yet; no entries: rec->entries is 0 and there is no
 * file. */
cg_err writer_run(struct store_writer *w, const struct memtable *m, enum run_kind kind,
                  struct run_record *rec, struct cg_errbuf *eb);
/* The lease lasts; for work that neither puts nor commits. May read a newer state. */
cg_err writer_renew(struct store_writer *w, struct cg_errbuf *eb);
cg_err writer_run_id(struct store_writer *w, uint32_t *id, struct cg_errbuf *eb);
/* For edits of the state: the writer's lease holds, its packs are in. */
cg_err writer_enter(struct store_writer *w, struct state *next, enum store_commit how,
                    struct cg_errbuf *eb);
/* After that state is the newest. */
void writer_entered(struct store_writer *w);
cg_err state_add_run(struct state *next,
                     const struct run_record *rec); /* none when it has no entries */

/* ---- compact.c ---- */

/* The one entry that a sum comes to. */
cg_err sum_entry(const struct sum *sum, struct entry *out, struct cg_errbuf *eb);

/* Merges small runs of the state when there are many. */
cg_err compact_if_many(struct store_writer *w, struct cg_errbuf *eb);
/* Takes one from the count of each child of the node at a place, by so many. */
cg_err compact_unlink(struct store_writer *w, const struct sum *node, int32_t by,
                      struct memtable *counts, struct cg_errbuf *eb);

/* ---- pool.c: frames compressed and appended by helpers ---- */

cg_err pool_new(struct store_writer *w, uint32_t threads, struct pool **out);
void pool_free(struct pool *p);
struct frame *pool_frame(struct pool *p); /* an empty one; NULL without memory */
/* Takes the frame. */
cg_err pool_submit(struct pool *p, struct frame *f, struct cg_errbuf *eb);
/* Waits for all; then the packs are ended and durable, and pool_placed says where each frame lies.
 */
cg_err pool_drain(struct pool *p, struct cg_errbuf *eb);
void pool_lock(struct pool *p);
void pool_unlock(struct pool *p);
struct placed pool_placed(const struct pool *p, uint32_t frame);
void pool_forget(struct pool *p); /* the places */
enum {
    PENDING_PACK = UINT32_MAX
}; /* an entry's pack while its frame is not placed; at is the frame's number */

/* ---- closure.c: what is dead ---- */

struct node_place { /* where a node lies */
    struct store_score score;
    uint32_t pack, at;
    uint16_t slot;
};
int node_place_cmp(const void *a, const void *b); /* the order of packs */
struct closure {
    struct store *s;
    bool condemned_only; /* of these alone something may die */
    const struct store_progress *p;
    struct memtable fell; /* edges of dead nodes, by what they lead to; not in a list yet */
    struct run **run;     /* lists: what fell, and what is dead, by their marks */
    size_t runs, runs_cap;
    struct node_place *node;
    size_t list_entries;
    uint64_t dead, bytes /* before compression */, expanded;
};
/* The index that s has open does not change until closure_fini. */
cg_err closure_find(struct closure *c, struct store *s, bool condemned_only,
                    const struct store_progress *p, struct cg_errbuf *eb);
/* The scores of the dead, in order. */
cg_err closure_each(const struct closure *c, entry_fn *each, void *aux, struct cg_errbuf *eb);
void closure_fini(struct closure *c);

/* ---- collect.c, rewrite.c ---- */

/* The only ways to replace all runs of the state by one: entries pass through map, which may change
 * a place or (false) drop the entry. Live bytes by pack are counted on the way. CG_EAGAIN: runs
 * were replaced by another. */
struct remake {
    struct store_writer *w;
    bool (*map)(void *aux, struct sum *sum);
    void *aux;
    struct run *const *more; /* runs of no state that are merged too */
    size_t mores;
    bool end_condemned; /* the condemned are gone */
    uint64_t alone; /* only if this number is that of the newest state still; 0: whatever it is */
    uint32_t id; /* of the new run, taken before map's mind is made up: taking it may read a newer
                    state */
};
cg_err remake_index(const struct remake *r, const struct store_progress *p, struct cg_errbuf *eb);
/* Moves what lives in packs that are mostly dead, or small, to new packs. */
cg_err rewrite_packs(struct store_writer *w, const struct store_progress *p,
                     struct store_collected *out, struct cg_errbuf *eb);

/* ---- scrub.c ---- */

/* Numbers of the pack files that are there, in order; the caller frees them. */
cg_err pack_list(const struct store_io *io, uint32_t **ids, size_t *count, struct cg_errbuf *eb);

/* ---- parity.c ---- */

/* Mends a pack by its parity; CG_ENOENT: it has none. */
cg_err parity_mend(struct store *s, uint32_t pack, bool *mended);
cg_err parity_dump(struct store *s, uint32_t pack, struct cg_str *out, struct cg_errbuf *eb);

/* ---- survey.c: what packs hold, for rewriting, check and repair ---- */

struct seen { /* an object in a pack */
    struct store_score score;
    uint32_t at;
    uint16_t slot, size; /* size in units of ENTRY_SIZE_UNIT */
    uint8_t kind;
    bool lives, known; /* the index leads here; here or elsewhere */
};
struct survey {
    struct seen *seen;
    size_t count, cap;
    uint64_t frames, raw, end; /* end: where the last whole frame ends */
    bool whole;                /* an end record stands there, and nothing behind it */
};
/* Calls fn for each frame of a pack: its directory, or with data all of it, every score checked. v
 * gets all but the list. A damaged frame ends it (CG_EIO) unless skip is set: then it goes on with
 * the next frame that is whole, and damaged counts. */
typedef cg_err frame_fn(void *aux, const struct frame_in *f);
cg_err pack_walk(struct store *s, uint32_t pack, bool data, bool skip, frame_fn *fn, void *aux,
                 struct survey *v, uint64_t *damaged, struct cg_errbuf *eb);
/* The same with a list of all objects: the directories of a pack, or with data all of its frames
 * with every score checked. A damaged frame ends it (CG_EIO) unless skip is set: then it goes on
 * with the next frame that is whole, and damaged counts. */
cg_err survey_pack(struct store *s, uint32_t pack, bool data, bool skip, struct survey *v,
                   uint64_t *damaged, struct cg_errbuf *eb);
/* Sets lives, by the index. */
cg_err survey_living(struct store *s, uint32_t pack, struct survey *v, struct cg_errbuf *eb);
void survey_fini(struct survey *v);

#endif
