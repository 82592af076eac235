/* factotum: the keys of a node and of its users, and what may be signed with them.
 *
 * keyring.c   the keys and their files
 * request.c   a request's text, read fully, made into a statement, signed
 * factotum.c  the files and who may open them
 */
#ifndef COGNU_FACTOTUM_H
#define COGNU_FACTOTUM_H

#include <cognu/secure.h>

enum {
    KEYS_MAX = 64,                                               /* a node's users, by far */
    REQUEST_BYTES_MAX = SECURE_ROSTER_BYTES_MAX + 64,            /* a roster and its first line */
    REQUEST_LINE_BYTES_MAX = 2 * SECURE_TICKET_BYTES_MAX + 2048, /* a ticket in hex and a path */
};

/* keys[0] is the node's, always there; the others are users', by name. */
struct keyring {
    const char *folder; /* borrows */
    uint32_t count;
    struct {
        char name[64];
        struct secure_key *key;
        uint8_t pub[32];
    } keys[KEYS_MAX];
};
/* Reads the folder; makes it, the node key and the user first_user when they are not there. */
cg_err keyring_open(struct keyring *r, const char *folder, const char *first_user,
                    struct cg_errbuf *eb);
void keyring_fini(struct keyring *r);
cg_err keyring_new_user(struct keyring *r, const char *name, struct cg_errbuf *eb);
cg_err keyring_delete(struct keyring *r, const char *name, struct cg_errbuf *eb);
cg_err keyring_text(const struct keyring *r, struct cg_str *out); /* public parts */
/* The index of a name or key in hex; -1. */
int keyring_find(const struct keyring *r, const char *name_or_keyhex);

/* Reads one request, signs what it describes, and appends the answer: "KEYHEX SIGHEX\n", for a
 * ticket "KEYHEX SIGHEX TICKETHEX\n". */
cg_err request_sign(const struct keyring *r, const char *text, size_t len, uint64_t now_s,
                    struct cg_str *answer, struct cg_errbuf *eb);

#endif
