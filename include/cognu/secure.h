/* secure: identities, proofs, tickets, invitations, roster signatures, and TLS between gates. All
 * cryptography is OpenSSL's.
 *
 * Rules. An identity is an Ed25519 key; its name on the wire is the 32 raw bytes of the public key,
 * in text their 64 hex digits. Private identity keys exist in factotum alone; it signs only
 * statements of the kinds below, each with its own domain, so that no signature can pass for
 * another. Statements are canonical bytes (fixed order, little-endian, lengths in front). Secrets
 * are wiped.
 */
#ifndef COGNU_SECURE_H
#define COGNU_SECURE_H

#include <cognu/base.h>
#include <cognu/ninep.h>

enum {
    SECURE_KEY_BYTES = 32,
    SECURE_SIG_BYTES = 64,
    SECURE_STATEMENT_BYTES_MAX = 4096,
    SECURE_TICKET_BLOCKS_MAX = 8,  /* attenuations of one ticket */
    SECURE_TLS_KEY_HOURS = 24,     /* life of a TLS key that an identity signs */
    SECURE_ATTACH_SECONDS = 86400, /* life of a user's proof on a session */
    SECURE_INVITE_SECONDS = 600,
};

enum secure_kind {
    SECURE_TLS_KEY = 1,
    SECURE_ATTACH,
    SECURE_TICKET_BLOCK,
    SECURE_ROSTER,
    SECURE_JOIN
};

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
uint64_t
secure_principal(const uint8_t key[SECURE_KEY_BYTES]); /* short id of a user key: top bit clear */
void secure_hex(const uint8_t *data, size_t len, char *out);  /* out: 2*len+1 bytes */
bool secure_unhex(const char *hex, uint8_t *out, size_t len); /* exactly len bytes */

/* ---- user proofs: the credential of Tattach ---- */

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

/* ---- tickets: capabilities across machines ---- */

/* One block. The first is signed by the issuer (a user who holds the tree), each next one by the
 * holder that the block before it names. A block may only narrow: its path is below, its rights
 * within, its expiry before those of the block before it. */
struct secure_ticket_block {
    uint8_t cell[16];
    uint8_t id[16]; /* revocation id */
    uint8_t holder[32];
    uint8_t rights; /* ninep rights */
    bool grant;     /* may be narrowed further and handed on */
    uint64_t not_before_s, expires_s;
    char tree[64];
    char path[1024]; /* below the tree's root; "" is the root */
};
struct secure_ticket {
    uint8_t issuer[32];
    uint32_t blocks;
    struct secure_ticket_block block[SECURE_TICKET_BLOCKS_MAX];
    uint8_t sig[SECURE_TICKET_BLOCKS_MAX][SECURE_SIG_BYTES];
};
size_t secure_ticket_block_statement(const struct secure_ticket *t, uint32_t block, uint8_t *out,
                                     size_t cap);
size_t secure_ticket_encode(const struct secure_ticket *t, uint8_t *out, size_t cap);
cg_err secure_ticket_decode(const void *data, size_t len, struct secure_ticket *out,
                            struct cg_errbuf *eb);
/* Checks every signature and that every block narrows. now_s with skew of 30 s. revoked(ctx, id)
 * may be NULL. */
cg_err secure_ticket_check(const struct secure_ticket *t, const uint8_t cell[16], uint64_t now_s,
                           bool (*revoked)(void *ctx, const uint8_t id[16]), void *ctx,
                           struct cg_errbuf *eb);

/* ---- the cell's roster ---- */

/* Text, one line a member, signed as a whole by the node that changed it; higher serial wins:
 *   cell HEX16
 *   serial N
 *   node NAME KEYHEX ADDRESS        ADDRESS is host:port
 *   user NAME KEYHEX
 *   gone KEYHEX                     removed: never comes back
 *   signed KEYHEX SIGHEX            last line; the signer must be a node of the roster before */
enum { SECURE_NODES_MAX = 4096, SECURE_USERS_MAX = 4096 };
struct secure_member {
    char name[64];
    uint8_t key[32];
    char address[128]; /* nodes */
};
struct secure_roster {
    uint8_t cell[16];
    uint64_t serial;
    struct secure_member *node, *user;
    uint8_t (*gone)[32];
    uint32_t nodes, users, gones;
};
cg_err secure_roster_parse(const char *text, size_t len, struct secure_roster *out,
                           struct cg_errbuf *eb);
void secure_roster_fini(struct secure_roster *r);
cg_err secure_roster_text(const struct secure_roster *r,
                          struct cg_str *out); /* without the signed line */
const struct secure_member *secure_roster_node(const struct secure_roster *r,
                                               const char *name_or_keyhex);
const struct secure_member *secure_roster_node_by_key(const struct secure_roster *r,
                                                      const uint8_t key[32]);
const struct secure_member *secure_roster_user_by_key(const struct secure_roster *r,
                                                      const uint8_t key[32]);

/* ---- TLS 1.3 between gates ---- */

/* Mutual. Each side presents a certificate for a short-lived TLS key, which carries (in one
 * extension) the node key and its signature over the TLS key and its expiry. There is no CA: the
 * peer's node key is looked up in the roster, by accept(). */
struct secure_tls_id; /* a TLS key with the statement signed by the node identity */
/* sign asks factotum; it may block: called at start and at rotation only. */
cg_err secure_tls_id_new(const uint8_t node_key[32],
                         cg_err (*sign)(void *ctx, enum secure_kind kind, const void *st,
                                        size_t len, uint8_t sig[64]),
                         void *ctx, uint64_t now_s, struct secure_tls_id **out,
                         struct cg_errbuf *eb);
void secure_tls_id_free(struct secure_tls_id *id);
struct secure_tls;
struct secure_tls_config {
    struct secure_tls_id *id; /* shares */
    bool server;
    const uint8_t *expect; /* client: the node key that must answer; NULL: any that accept takes */
    cg_err (*accept)(void *ctx, const uint8_t node_key[32]); /* CG_EUNPAIRED refuses */
    void *ctx;
};
/* A TLS connection without I/O: bytes from the network in, bytes for the network out, by memory. */
cg_err secure_tls_new(const struct secure_tls_config *config, struct secure_tls **out);
void secure_tls_free(struct secure_tls *t);
/* Feeds ciphertext (all of it is taken) and advances the handshake. */
cg_err secure_tls_input(struct secure_tls *t, const void *data, size_t len, struct cg_errbuf *eb);
/* Decrypts into out; 0 bytes: nothing now. CG_ECONNRESET after the peer's close. */
cg_err secure_tls_read(struct secure_tls *t, void *out, size_t cap, size_t *len,
                       struct cg_errbuf *eb);
cg_err secure_tls_write(struct secure_tls *t, const void *data, size_t len, struct cg_errbuf *eb);
size_t secure_tls_output(struct secure_tls *t, void *out, size_t cap); /* ciphertext to send */
size_t secure_tls_output_pending(const struct secure_tls *t);
bool secure_tls_up(const struct secure_tls *t);
cg_err secure_tls_peer(const struct secure_tls *t, uint8_t node_key[32],
                       uint8_t binding[32]); /* after up: exporter value */
void secure_tls_close(struct secure_tls *t);

/* HMAC-SHA-256 proof for ninep_auth.proof: key from first binding by HKDF. */
void secure_session_proof(void *ctx, const uint8_t first[32], const uint8_t id[16],
                          const uint8_t now[32], uint8_t out[32]);

#endif
