/* secure: identities, proofs, tickets, invitations, roster signatures, and TLS between gates. All
 * cryptography is OpenSSL's.
 *
 * Rules. An identity is an Ed25519 key; its name on the wire is the 32 raw bytes of the public key,
 * in text their 64 hex digits. Private identity keys exist in factotum alone; it signs only
 * statements of the kinds below, each with its own domain, so that no signature can pass for
 * another. Statements are canonical bytes (fixed order, little-endian, lengths in front); a decoder
 * refuses every other form of the same value. Secrets are wiped. docs/security.md is the threat
 * model and the normative text of the formats.
 */
#ifndef COGNU_SECURE_H
#define COGNU_SECURE_H

#include <cognu/base.h>
#include <cognu/ninep.h>

enum {
    SECURE_KEY_BYTES = 32,
    SECURE_SIG_BYTES = 64,
    SECURE_SKEW_SECONDS = 30, /* how far the clocks of two nodes may differ */
    SECURE_STATEMENT_BYTES_MAX =
        2048,                        /* of all kinds but rosters; a full ticket block is 1.3 KiB */
    SECURE_TICKET_BLOCKS_MAX = 8,    /* attenuations of one ticket */
    SECURE_TICKET_BYTES_MAX = 12288, /* 8 full blocks */
    SECURE_CREDENTIAL_BYTES_MAX = SECURE_TICKET_BYTES_MAX + 128,
    SECURE_TLS_KEY_HOURS = 24,     /* life of a TLS key that an identity signs */
    SECURE_ATTACH_SECONDS = 86400, /* life of a user's proof on a session */
    SECURE_INVITE_SECONDS = 600,
    SECURE_INVITE_SECONDS_MAX = 86400,
};

enum secure_kind { SECURE_TLS_KEY = 1, SECURE_ATTACH, SECURE_TICKET_BLOCK, SECURE_ROSTER };

struct secure_key; /* a private Ed25519 key; wiped when freed */
cg_err secure_key_new(struct secure_key **out);
cg_err secure_key_load(const char *path, struct secure_key **out,
                       struct cg_errbuf *eb); /* PEM PKCS#8; refuses group-readable */
cg_err secure_key_save(const struct secure_key *k, const char *path,
                       struct cg_errbuf *eb); /* mode 0600, atomic */
void secure_key_free(struct secure_key *k);
void secure_key_public(const struct secure_key *k, uint8_t out[SECURE_KEY_BYTES]);
/* Signs "cognu/KIND/1\0" before the statement. */
cg_err secure_sign(const struct secure_key *k, enum secure_kind kind, const void *statement,
                   size_t len, uint8_t out[SECURE_SIG_BYTES]);
bool secure_verify(const uint8_t key[SECURE_KEY_BYTES], enum secure_kind kind,
                   const void *statement, size_t len, const uint8_t sig[SECURE_SIG_BYTES]);
/* Short id of a user key: the first 8 bytes of its SHA-256, top bit clear. */
uint64_t secure_principal(const uint8_t key[SECURE_KEY_BYTES]);
void secure_hex(const uint8_t *data, size_t len, char *out);  /* out: 2*len+1 bytes */
bool secure_unhex(const char *hex, uint8_t *out, size_t len); /* exactly len bytes, lower case */
bool secure_number(const char *text, uint64_t *out);          /* decimal, canonical, fits 63 bits */
/* A name of a node or user: 1 to 63 of letters, digits, '.', '_', '-', '@'; begins with a letter
 * or digit; not 64 hex digits by its length. */
bool secure_name_ok(const char *name);
/* Replaces a file as a whole: a crash leaves the old or the new one. */
cg_err secure_file_replace(const char *path, const void *data, size_t len, unsigned mode,
                           struct cg_errbuf *eb);
/* Reads a whole file of at most max bytes; gives *out, NUL-terminated, to be wiped and freed. */
cg_err secure_file_read(const char *path, size_t max, char **out, size_t *len,
                        struct cg_errbuf *eb);

/* ---- user proofs: the credential of Tattach
 * -------------------------------------------------------------------------------- */

/* statement: binding[32], server node key[32], user key[32], expires_s u64, user name str, tree str
 */
struct secure_attach {
    uint8_t binding[32], server[32], user[32];
    uint64_t expires_s;
    char name[64], tree[64];
};
size_t secure_attach_statement(const struct secure_attach *a, uint8_t *out,
                               size_t cap); /* 0: does not fit */
/* credential: u8 1, u64 expires_s, user key[32], signature[64] */
size_t secure_attach_credential(const struct secure_attach *a, const uint8_t sig[64], uint8_t *out,
                                size_t cap);
cg_err secure_attach_check(struct cg_span credential,
                           const struct secure_attach *expect_without_user_and_expiry,
                           uint64_t now_s, uint8_t user_out[32], uint64_t *expires_s,
                           struct cg_errbuf *eb);

/* ---- tickets: capabilities across machines
 * ----------------------------------------------------------------------------------- */

/* One block. The first is signed by the issuer (a user who holds the tree), each next one by the
 * holder that the block before it names. A block may only narrow: its path is below, its rights
 * within, its expiry before those of the block before it. */
struct secure_ticket_block {
    uint8_t cell[16];
    uint8_t id[16]; /* revocation id */
    uint8_t holder[32];
    uint8_t rights; /* ninep rights, not none */
    bool grant;     /* may be narrowed further and handed on */
    uint64_t not_before_s, expires_s;
    uint8_t node[32]; /* key of the node that serves the tree */
    char service[64], tree[64];
    char path[1024]; /* below the tree's root; "" is the root; no empty, "." or ".." element */
};
struct secure_ticket {
    uint8_t issuer[32];
    uint32_t blocks;
    struct secure_ticket_block block[SECURE_TICKET_BLOCKS_MAX];
    uint8_t sig[SECURE_TICKET_BLOCKS_MAX][SECURE_SIG_BYTES];
};
/* What block's signature covers: issuer, index, the signature before it, the block. 0: no fit. */
size_t secure_ticket_block_statement(const struct secure_ticket *t, uint32_t block, uint8_t *out,
                                     size_t cap);
size_t secure_ticket_encode(const struct secure_ticket *t, uint8_t *out, size_t cap);
cg_err secure_ticket_decode(const void *data, size_t len, struct secure_ticket *out,
                            struct cg_errbuf *eb);
/* The key that signs the given block. */
const uint8_t *secure_ticket_signer(const struct secure_ticket *t, uint32_t block);
/* Does block i only narrow the one before it? */
cg_err secure_ticket_narrows(const struct secure_ticket *t, uint32_t i, struct cg_errbuf *eb);
/* Checks every signature and that every block narrows. now_s with skew of 30 s. revoked(ctx, id)
 * may be NULL. */
cg_err secure_ticket_check(const struct secure_ticket *t, const uint8_t cell[16], uint64_t now_s,
                           bool (*revoked)(void *ctx, const uint8_t id[16]), void *ctx,
                           struct cg_errbuf *eb);
/* credential of a ticket's holder: u8 2, u64 expires_s, signature[64] (of the SECURE_ATTACH
 * statement in which user is the holder), then the encoded ticket. */
size_t secure_ticket_credential(const struct secure_ticket *t, uint64_t expires_s,
                                const uint8_t sig[64], uint8_t *out, size_t cap);
/* Checks the holder's proof only; the ticket itself is for secure_ticket_check. */
cg_err secure_ticket_proof_check(struct cg_span credential, const struct secure_attach *expect,
                                 uint64_t now_s, struct secure_ticket *ticket, uint64_t *expires_s,
                                 struct cg_errbuf *eb);

/* ---- the cell's roster
 * ----------------------------------------------------------------------------------------------------
 */

/* Text, one line a member, lines of a kind in ascending order of their key or id:
 *   cell HEX16
 *   serial N
 *   node KEYHEX NAME ADDRESS        ADDRESS is numeric host:port, or - for a node that only dials
 *   user KEYHEX NAME
 *   gone KEYHEX                     removed: never comes back
 *   revoked IDHEX EXPIRES_S         a ticket block that its issuer took back; dropped when expired
 *   signed KEYHEX SIGHEX            last line: a node of the roster, over all lines before it
 * Every node signs the copy that it keeps and hands on: a receiver asks only whether it trusts the
 * node that it talks to. Two rosters merge without loss (secure_roster_merge). */
enum {
    SECURE_NODES_MAX = 4096,
    SECURE_USERS_MAX = 4096,
    SECURE_GONES_MAX = 8192,
    SECURE_REVOKED_MAX = 8192,
    SECURE_ROSTER_BYTES_MAX = 1 << 20, /* one 9P write */
    SECURE_ADDRESS_BYTES = 128,        /* of a node, with the zero at its end */
};
struct secure_member {
    char name[64]; /* zeroes to its end, as address */
    uint8_t key[32];
    char address[SECURE_ADDRESS_BYTES]; /* nodes */
    uint64_t principal;                 /* users: secure_principal(key), set by the roster */
};
struct secure_revoked {
    uint8_t id[16];
    uint64_t expires_s;
};
struct secure_roster {
    uint8_t cell[16];
    uint64_t serial;
    struct secure_member *node, *user;
    uint8_t (*gone)[32];
    struct secure_revoked *revoked;
    uint32_t nodes, users, gones, revokeds;
    uint8_t signer[32];
};
/* Checks the form, and the signature by a node of the roster itself. */
cg_err secure_roster_parse(const char *text, size_t len, struct secure_roster *out,
                           struct cg_errbuf *eb);
/* The same without a signed line. */
cg_err secure_roster_parse_body(const char *text, size_t len, struct secure_roster *out,
                                struct cg_errbuf *eb);
void secure_roster_fini(struct secure_roster *r);
cg_err secure_roster_text(const struct secure_roster *r,
                          struct cg_str *out); /* without the signed line */
cg_err secure_roster_seal(struct cg_str *text, const uint8_t signer[32], const uint8_t sig[64]);
cg_err secure_roster_copy(const struct secure_roster *r, struct secure_roster *out);
const struct secure_member *secure_roster_node(const struct secure_roster *r,
                                               const char *name_or_keyhex);
const struct secure_member *secure_roster_node_by_key(const struct secure_roster *r,
                                                      const uint8_t key[32]);
const struct secure_member *secure_roster_user_by_key(const struct secure_roster *r,
                                                      const uint8_t key[32]);
bool secure_roster_gone(const struct secure_roster *r, const uint8_t key[32]);
bool secure_roster_revoked(const struct secure_roster *r, const uint8_t id[16]);
/* Changes; each leaves the serial alone. CG_EEXIST: the name stands for another key. CG_EREVOKED:
 * the key is gone. */
cg_err secure_roster_add_node(struct secure_roster *r, const struct secure_member *m,
                              struct cg_errbuf *eb);
cg_err secure_roster_add_user(struct secure_roster *r, const struct secure_member *m,
                              struct cg_errbuf *eb);
cg_err secure_roster_remove(struct secure_roster *r, const uint8_t key[32], struct cg_errbuf *eb);
cg_err secure_roster_revoke(struct secure_roster *r, const uint8_t id[16], uint64_t expires_s,
                            struct cg_errbuf *eb);
/* All that either knows, less what either removed. *out has the serial of the copy whose contents
 * it equals if that is the higher, else one more than both. CG_EAUTH: another cell. */
cg_err secure_roster_merge(const struct secure_roster *mine, const struct secure_roster *theirs,
                           uint64_t now_s, struct secure_roster *out, struct cg_errbuf *eb);
bool secure_roster_same(const struct secure_roster *a, const struct secure_roster *b);

/* ---- invitations
 * ----------------------------------------------------------------------------------------------------------
 */

/* One word that a person carries to the joining node. The secret is used once, inside TLS, bound to
 * that connection; it is never sent. */
enum { SECURE_INVITE_TEXT_BYTES = 384, SECURE_INVITE_SECRET_BYTES = 16 };
struct secure_invite {
    uint8_t cell[16];
    uint8_t inviter[32]; /* node key: the server is pinned by it */
    uint8_t secret[SECURE_INVITE_SECRET_BYTES];
    uint64_t expires_s;
    char address[128];
};
cg_err secure_invite_text(const struct secure_invite *i, char out[SECURE_INVITE_TEXT_BYTES]);
cg_err secure_invite_parse(const char *text, struct secure_invite *out, struct cg_errbuf *eb);
/* HMAC-SHA-256 under the secret over binding, joiner's and inviter's node key. */
void secure_invite_proof(const uint8_t secret[SECURE_INVITE_SECRET_BYTES],
                         const uint8_t binding[32], const uint8_t joiner[32],
                         const uint8_t inviter[32], uint8_t out[32]);
bool secure_equal(const void *a, const void *b, size_t len); /* in constant time */

/* ---- TLS 1.3 between gates
 * -----------------------------------------------------------------------------------------------------
 */

/* Mutual. Each side presents a certificate for a short-lived TLS key, which carries (in one
 * extension) the node key and its signature over the TLS key and its expiry. There is no CA: the
 * peer's node key is looked up in the roster, by accept(). */
struct secure_tls_id; /* a TLS key with the statement signed by the node identity; counted */
/* A fresh key; it is of use after secure_tls_id_finish with the node's signature (SECURE_TLS_KEY)
 * over the statement: TLS public key[32], expires_s u64. */
enum { SECURE_TLS_STATEMENT_BYTES = 40 };
cg_err secure_tls_id_new(const uint8_t node_key[32], uint64_t now_s, struct secure_tls_id **out);
void secure_tls_id_statement(const struct secure_tls_id *id,
                             uint8_t out[SECURE_TLS_STATEMENT_BYTES]);
cg_err secure_tls_id_finish(struct secure_tls_id *id, const uint8_t sig[64], struct cg_errbuf *eb);
uint64_t secure_tls_id_expires_s(const struct secure_tls_id *id);
void secure_tls_id_free(struct secure_tls_id *id); /* connections keep it as long as they need it */

struct secure_tls;
struct secure_tls_config {
    struct secure_tls_id *id; /* shares */
    const struct cg_env *env; /* wall clock, for the peer's expiry; NULL: the real one */
    bool server;
    const uint8_t *expect; /* client: the node key that must answer; NULL: any that accept takes */
    cg_err (*accept)(void *ctx, const uint8_t node_key[32]); /* CG_EUNPAIRED refuses */
    void *ctx;
};
/* A TLS connection without I/O: bytes from the network in, bytes for the network out, by memory. */
cg_err secure_tls_new(const struct secure_tls_config *config, struct secure_tls **out);
void secure_tls_free(struct secure_tls *t);
/* Room for want bytes of ciphertext, to be received in place; then advances the handshake. NULL: no
 * memory. */
uint8_t *secure_tls_space(struct secure_tls *t, size_t want);
cg_err secure_tls_commit(struct secure_tls *t, size_t len, struct cg_errbuf *eb);
cg_err secure_tls_input(struct secure_tls *t, const void *data, size_t len, struct cg_errbuf *eb);
/* Decrypts into out; 0 bytes: nothing now. CG_ECONNRESET after the peer's close. */
cg_err secure_tls_read(struct secure_tls *t, void *out, size_t cap, size_t *len,
                       struct cg_errbuf *eb);
cg_err secure_tls_write(struct secure_tls *t, const void *data, size_t len, struct cg_errbuf *eb);
/* Ciphertext to send: look at it, send some, say how much went. Borrows until the next call. */
const uint8_t *secure_tls_output(const struct secure_tls *t, size_t *len);
void secure_tls_sent(struct secure_tls *t, size_t len);
bool secure_tls_up(const struct secure_tls *t);
/* After up: the peer's node key and the exporter value that both ends share. */
void secure_tls_peer(const struct secure_tls *t, uint8_t node_key[32], uint8_t binding[32]);
/* The node key that the peer showed and proved, even if it was then refused; false: none. */
bool secure_tls_shown(const struct secure_tls *t, uint8_t node_key[32]);
void secure_tls_close(struct secure_tls *t); /* no more writes; reads go on */

/* ---- who may attach
 * -------------------------------------------------------------------------------------------------------
 */

/* HMAC-SHA-256 proof for ninep_auth.proof: key from first binding by HKDF. Between local processes
 * (both bindings zero) it is that of ninep_auth_local. */
void secure_session_proof(void *ctx, const uint8_t first[32], const uint8_t id[16],
                          const uint8_t now[32], uint8_t out[32]);
extern const struct ninep_auth secure_auth_client; /* for clients: the proof only */

/* The judge of a file server's attaches. Local peers are who their uid says, as in
 * ninep_auth_local. Remote ones need a user's proof or a ticket, bound to this connection and to
 * this node; nodes, users and revocations are those of the roster file, which is read again when it
 * changed. This node is the one that sealed the file. Every refusal is logged. Where there is no
 * roster, only local peers attach. */
struct secure_auth_config {
    const char *service;      /* whose attaches: tickets name it; borrowed */
    const char *roster;       /* path, copied; NULL: $COGNU_ROSTER, else /var/lib/cognu/roster */
    const struct cg_env *env; /* NULL: the real one */
};
cg_err secure_auth_new(const struct secure_auth_config *config, struct ninep_auth **out);
void secure_auth_free(struct ninep_auth *auth);

/* ---- processes that hold keys
 * ------------------------------------------------------------------------------------------------
 */

/* No core dumps, no debugger of the same user, private keys in locked memory that is never dumped
 * or swapped. First thing in main. Says in the log what the host refused. */
void secure_lockdown(void);

#endif
