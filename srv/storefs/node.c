/* Nodes of storefs: identities, attributes, rights, and the way down by name. */
#include "live.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

/* With this bit a principal is a user number of this host. */
#define HOST_USER (UINT64_C(1) << 63)

enum {
    BLOCK_BYTES = 512,
    BLKSIZE = 256 << 10,
    FILE_FIXED = 16 /* numbers below are fixed names */
};

struct node *node_of(const struct ninep_fid *fid)
{
    return fid->aux;
}

cg_err node_new(struct storefs *fs, enum node_kind kind, struct node **out)
{
    static const uint32_t modes[] = {[NODE_ROOT] = 0555,
                                     [NODE_SNAPS] = 0555,
                                     [NODE_SCORES] = 0500,
                                     [NODE_STATS] = 0400,
                                     [NODE_CTL] = 0600};
    struct node *n = cg_zalloc(sizeof *n);
    if (!n) {
        return CG_ENOMEM;
    }
    *n = (struct node){.fs = fs, .kind = kind, .refs = 1, .file = kind};
    if (kind != NODE_ENTRY && kind != NODE_LIVE) {
        bool file = kind == NODE_STATS || kind == NODE_CTL;
        n->entry = (struct store_entry){.kind = file ? STORE_FILE : STORE_DIR,
                                        .mode = modes[kind],
                                        .nlink = 1,
                                        .uid = (uint32_t)fs->owner};
    }
    fs->nodes++;
    *out = n;
    return CG_OK;
}

void node_put(struct node *n)
{
    if (n && --n->refs == 0) {
        n->fs->nodes--;
        store_dir_close(n->dir);
        cg_str_fini(&n->keep);
        cg_str_fini(&n->seen[0]);
        cg_str_fini(&n->seen[1]);
        if (n->live) {
            active_put(n->fs->active, n->live);
        }
        cg_free(n);
    }
}

void node_set(struct ninep_fid *fid, struct node *n)
{
    struct node *old = fid->aux;
    fid->aux = n;
    node_own_id(n, &fid->id);
    node_put(old);
}

bool node_is_dir(const struct node *n)
{
    struct active_attr a;
    if (n->kind == NODE_LIVE) {
        active_stat(n->live, &a);
        return a.kind == STORE_DIR;
    }
    return n->entry.kind == STORE_DIR;
}

/* ---- identities ---- */

/* 64 bits of SHA-256: nobody who chooses names can make two files one. A listing makes one for each
 * entry, and to set OpenSSL up for it costs more than the hash: that is done once. */
static uint64_t digest(const void *a, size_t a_len, const void *b, size_t b_len)
{
    static EVP_MD_CTX *c; /* of the loop's thread, as all here */
    static EVP_MD *sha256;
    uint8_t out[EVP_MAX_MD_SIZE];
    uint64_t number;
    c = c ? c : EVP_MD_CTX_new();
    sha256 = sha256 ? sha256 : EVP_MD_fetch(NULL, "SHA256", NULL);
    bool ok = c && EVP_DigestInit_ex(c, sha256, NULL) && EVP_DigestUpdate(c, a, a_len) &&
              EVP_DigestUpdate(c, b, b_len) && EVP_DigestFinal_ex(c, out, NULL);
    cg_assert(ok);
    memcpy(&number, out, sizeof number);
    return number < FILE_FIXED ? number + FILE_FIXED : number;
}

uint64_t node_digest(const void *data, size_t len)
{
    return digest(data, len, "", 0);
}

/* Names of one file (nlink above 1) have one number, by the number that it had at its source and
 * its contents: several file systems may stand in one snapshot. */
static uint64_t file_of(uint64_t top, uint64_t parent, const struct store_entry *e)
{
    if (e->kind != STORE_DIR && e->nlink > 1) {
        uint64_t head[3] = {top, e->ino, e->size};
        return e->content == STORE_CHUNK || e->content == STORE_LIST
                   ? digest(head, sizeof head, e->score.b, sizeof e->score.b)
                   : digest(head, sizeof head, e->data.data, e->data.len);
    }
    return digest(&parent, sizeof parent, e->name.data, e->name.len);
}

static void set_id(const struct storefs *fs, uint64_t file, uint32_t type, struct ninep_xqid *id)
{
    *id = (struct ninep_xqid){
        .volume = fs->volume, .file = file, .generation = 1, .type = type, .change = 1};
}

void node_id(const struct storefs *fs, uint64_t top, uint64_t parent, const struct store_entry *e,
             struct ninep_xqid *id)
{
    set_id(fs, file_of(top, parent, e), 0, id);
}

void node_own_id(const struct node *n, struct ninep_xqid *id)
{
    bool made = n->kind == NODE_STATS || n->kind == NODE_CTL;
    uint32_t type = n->kind == NODE_ENTRY ? 0
                    : made                ? NINEP_QTYPE_SYNTHETIC | NINEP_QTYPE_NOCACHE
                                          : NINEP_QTYPE_NOCACHE;
    if (n->kind == NODE_LIVE) {
        live_id(n, id);
        return;
    }
    set_id(n->fs, n->file, type, id);
}

/* ---- attributes and rights ---- */

static uint8_t rights_of(const struct ninep_fid *fid, const struct storefs *fs,
                         const struct store_entry *e)
{
    uint32_t bits = e->mode;
    if (fid->principal == fs->owner || fid->principal == HOST_USER) {
        bits = NINEP_RIGHTS_READ;
        if (e->kind == STORE_DIR || (e->mode & 0111) != 0) {
            bits |= NINEP_RIGHTS_EXEC;
        }
    } else if (fid->principal == (HOST_USER | e->uid)) {
        bits >>= 6;
    }
    return (uint8_t)(bits & (NINEP_RIGHTS_READ | NINEP_RIGHTS_EXEC));
}

void node_attr(const struct ninep_fid *fid, const struct storefs *fs, const struct ninep_xqid *id,
               const struct store_entry *e, struct ninep_attr *out)
{
    static const uint32_t types[] = {
        [STORE_FILE] = S_IFREG, [STORE_DIR] = S_IFDIR,     [STORE_SYMLINK] = S_IFLNK,
        [STORE_FIFO] = S_IFIFO, [STORE_SOCKET] = S_IFSOCK, [STORE_CHAR] = S_IFCHR,
        [STORE_BLOCK] = S_IFBLK};
    uint64_t size = e->kind == STORE_SYMLINK ? e->data.len : e->kind == STORE_FILE ? e->size : 0;
    *out = (struct ninep_attr){.id = *id,
                               .mode = types[e->kind] | e->mode,
                               .nlink = e->nlink ? e->nlink : 1,
                               .owner = HOST_USER | e->uid,
                               .group = HOST_USER | e->gid,
                               .size = size,
                               .blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES,
                               .rdev = e->rdev,
                               .atime = e->mtime_ns,
                               .mtime = e->mtime_ns,
                               .ctime = e->ctime_ns,
                               .blksize = BLKSIZE,
                               .rights = rights_of(fid, fs, e),
                               .flags = NINEP_ATTRFLAG_NO_ACL};
    if (e->xattrs.len == 0) {
        out->flags |= NINEP_ATTRFLAG_NO_XATTR;
    }
    if (!(id->type & NINEP_QTYPE_NOCACHE)) { /* of a snapshot */
        out->flags |= NINEP_ATTRFLAG_FIXED;
    }
}

void node_own_attr(const struct ninep_fid *fid, const struct node *n, struct ninep_attr *out)
{
    struct ninep_xqid id;
    if (n->kind == NODE_LIVE) {
        live_attr(fid, n, out);
        return;
    }
    node_own_id(n, &id);
    node_attr(fid, n->fs, &id, &n->entry, out);
    out->rights |= n->kind == NODE_CTL && live_admin(fid, n->fs) ? NINEP_RIGHTS_WRITE : 0;
}

cg_err node_may(const struct ninep_fid *fid, const struct node *n, uint8_t rights,
                struct cg_errbuf *eb)
{
    if (n->kind == NODE_LIVE) {
        return live_may(fid, n, rights, eb);
    }
    if (n->kind == NODE_CTL && live_admin(fid, n->fs)) {
        return CG_OK;
    }
    if (rights & NINEP_RIGHTS_WRITE) {
        return cg_fail(eb, CG_EROFS, "what is in a store does not change");
    }
    uint8_t has = rights_of(fid, n->fs, &n->entry);
    if ((has & rights) == rights) {
        return CG_OK;
    }
    return cg_fail(eb, CG_EACCES, "mode %04o of user %u's file does not allow it", n->entry.mode,
                   n->entry.uid);
}

/* ---- the way down ---- */

static cg_err dir_of_score(struct storefs *fs, const struct store_score *score,
                           struct store_entry *e, struct cg_errbuf *eb)
{
    struct store_snapshot snap;
    cg_err err = store_snapshot_get(fs->store, score, &snap, eb);
    *e = (struct store_entry){.kind = STORE_DIR, .mode = 0755, .nlink = 1, .score = *score};
    if (err == CG_OK) {
        e->score = snap.root;
        e->mode = snap.mode;
        e->uid = snap.uid;
        e->gid = snap.gid;
        e->mtime_ns = e->ctime_ns = snap.mtime_ns;
    } else if (err == CG_EBADFORMAT) { /* no snapshot: a directory? */
        struct store_dir *d = NULL;
        err = store_dir_open(fs->store, score, &d, eb);
        store_dir_close(d);
    }
    return err;
}

cg_err node_of_score(struct storefs *fs, const struct store_score *score, struct node **out,
                     struct cg_errbuf *eb)
{
    struct store_entry e;
    cg_err err = dir_of_score(fs, score, &e, eb);
    err = err ? err : node_new(fs, NODE_ENTRY, out);
    if (err) {
        return err;
    }
    (*out)->entry = e;
    (*out)->file = (*out)->top = digest(score->b, sizeof score->b, "", 0);
    return CG_OK;
}

static cg_err no_name(struct cg_span name, struct cg_errbuf *eb)
{
    return cg_fail(eb, CG_ENOENT, "no file '%.*s' here", (int)name.len, (const char *)name.data);
}

static cg_err child_of_root(struct storefs *fs, struct cg_span name, struct node **out,
                            struct cg_errbuf *eb)
{
    if (fs->active && cg_span_is(name, "active")) {
        return live_node(fs, active_get(active_root(fs->active)), out);
    }
    if (fs->active && cg_span_is(name, "ctl")) {
        return node_new(fs, NODE_CTL, out);
    }
    if (cg_span_is(name, "snap")) {
        return node_new(fs, NODE_SNAPS, out);
    }
    if (cg_span_is(name, "score")) {
        return node_new(fs, NODE_SCORES, out);
    }
    return cg_span_is(name, "stats") ? node_new(fs, NODE_STATS, out) : no_name(name, eb);
}

static cg_err child_of_snaps(struct storefs *fs, struct cg_span name, struct node **out,
                             struct cg_errbuf *eb)
{
    struct store_refinfo ref;
    char word[STORE_NAME_BYTES_MAX + 1];
    if (!cg_span_str(name, word, sizeof word)) {
        return no_name(name, eb);
    }
    cg_err e = store_refresh(fs->store, eb);
    e = e ? e : store_ref_find(fs->store, word, &ref);
    e = !e && strcmp(ref.name, ACTIVE_REF) == 0 ? CG_ENOENT : e; /* no snapshot */
    if (e == CG_ENOENT) {
        return cg_fail(eb, e, "%s: no such snapshot, and none of such a line or date", word);
    }
    return e ? e : node_of_score(fs, &ref.score, out, eb);
}

static cg_err child_of_scores(struct storefs *fs, struct cg_span name, struct node **out,
                              struct cg_errbuf *eb)
{
    struct store_score score;
    char word[2 * STORE_SCORE_BYTES + 1];
    if (!cg_span_str(name, word, sizeof word) || !store_score_parse(word, &score)) {
        return cg_fail(eb, CG_ENOENT, "a score has %d hexadecimal digits", 2 * STORE_SCORE_BYTES);
    }
    cg_err e = node_of_score(fs, &score, out, eb);
    return e == CG_EBADFORMAT ? cg_fail(eb, CG_ENOENT, "no directory has this score") : e;
}

static cg_err child_of_entry(struct node *dir, struct cg_span name, struct node **out,
                             struct cg_errbuf *eb)
{
    struct node *n;
    cg_err e = node_new(dir->fs, NODE_ENTRY, &n);
    if (e) {
        return e;
    }
    e = store_lookup_name(dir->fs->store, &dir->entry.score, name, &n->entry, &n->keep, eb);
    if (e) {
        node_put(n);
        return e == CG_ENOENT ? no_name(name, eb) : e;
    }
    n->top = dir->top;
    n->file = file_of(dir->top, dir->file, &n->entry);
    *out = n;
    return CG_OK;
}

cg_err node_child(struct node *dir, struct cg_span name, struct node **out, struct cg_errbuf *eb)
{
    switch (dir->kind) {
    case NODE_ROOT:
        return child_of_root(dir->fs, name, out, eb);
    case NODE_SNAPS:
        return child_of_snaps(dir->fs, name, out, eb);
    case NODE_SCORES:
        return child_of_scores(dir->fs, name, out, eb);
    case NODE_LIVE:
        return live_child(dir, name, out, eb);
    case NODE_CTL:
    case NODE_STATS:
    case NODE_ENTRY:
        break;
    }
    return node_is_dir(dir) ? child_of_entry(dir, name, out, eb)
                            : cg_fail(eb, CG_ENOTDIR, "not a directory");
}
