/* roster_impl: shared by the files of the roster. */
#ifndef COGNU_ROSTER_IMPL_H
#define COGNU_ROSTER_IMPL_H

#include "secure_impl.h"

/* The first index whose key is not below key, in a table sorted by it. */
uint32_t secure__roster_lower(const void *table, uint32_t count, size_t stride, size_t offset,
                              const void *key, size_t key_len);
const struct secure_member *secure__roster_by_name(const struct secure_member *table,
                                                   uint32_t count, const char *name);
void secure__roster_drop_user(struct secure_roster *r, const uint8_t key[32]);

#endif
