/* testkit: what the tests of lib/secure share: a clock of their own, keys, temporary folders. */
#ifndef COGNU_SECURE_TESTKIT_H
#define COGNU_SECURE_TESTKIT_H

#include <cognu/secure.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KIT_NOW_S = 1800000000 };
extern uint64_t kit_now_s;          /* what kit_env's wall clock says */
extern const struct cg_env kit_env; /* real but for the wall clock */

struct kit_id {
    struct secure_key *key;
    uint8_t pub[32];
};
struct kit_id kit_id(void);
void kit_id_free(struct kit_id *id);
void kit_sign(const struct kit_id *id, enum secure_kind kind, const void *st, size_t len,
              uint8_t sig[64]);
/* A folder of its own below $TMPDIR; kit_folder_free removes its files and itself. */
const char *kit_folder(void);
void kit_folder_free(void);
void kit_path(char out[256], const char *name);
struct secure_member kit_member(const struct kit_id *id, const char *name, const char *address);
/* The sealed text of r, signed by id. */
struct cg_str kit_seal(const struct secure_roster *r, const struct kit_id *id);

#endif
