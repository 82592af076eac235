/* storefs: a store as a file tree, read-only:
 *
 *   snap/NAME@DATE/   a snapshot; snap/NAME is the newest of its line, snap/NAME@2026-11 the newest
 *                     of the line not after that date, snap/2026-11-30 the newest of all lines
 *   score/HEX/        any directory or snapshot by its score; for the server's owner alone
 *   stats             what `store stats` tells, a line each
 *
 * Modes and owners are those that the files had; users are those of this host. The server's owner
 * and root read everything.
 */
#ifndef STOREFS_H
#define STOREFS_H

#include <cognu/ninep.h>
#include <cognu/store.h>

struct storefs;

extern const struct ninep_ops storefs_ops; /* its server's aux is the struct storefs */

/* s is borrowed. owner: the principal whom no mode binds. */
cg_err storefs_new(struct store *s, uint64_t owner, struct storefs **out, struct cg_errbuf *eb);
void storefs_free(struct storefs *fs); /* after the server: no fid may be left */

#endif
