/* storefs: a store as a file tree:
 *
 *   active/           a tree that changes, with what POSIX asks (lib/active); where it was asked
 * for ctl               its commands: snap NAME, sync; read: what it has not committed yet
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

#include <cognu/active.h>
#include <cognu/ninep.h>

struct storefs;

extern const struct ninep_ops storefs_ops; /* its server's aux is the struct storefs */

/* s is borrowed. owner: the principal whom no mode binds. */
cg_err storefs_new(struct store *s, uint64_t owner, struct storefs **out, struct cg_errbuf *eb);
void storefs_free(struct storefs *fs); /* after the server: no fid may be left */

/* Serves the active tree too, which stays the caller's; its reads are s. start runs a job elsewhere
 * and then calls storefs_job_done on the server's thread; wait waits for the one under way and
 * calls that too. flush runs a sync elsewhere and then calls storefs_flush_done there. NULL: they
 * run at once. */
struct storefs_live {
    void (*start)(void *aux, struct active_job *j);
    void (*wait)(void *aux);
    void (*flush)(void *aux, struct active_flush *f);
    void *aux;
};
void storefs_serve_active(struct storefs *fs, struct active *t, const struct storefs_live *live);
/* Takes j when it gives true; with all false it may have to be called again. */
bool storefs_job_done(struct storefs *fs, struct active_job *j, bool all);
void storefs_flush_done(struct storefs *fs, struct active_flush *f); /* takes f */
void storefs_tick(struct storefs *fs, uint64_t now_s);               /* once a second */

#endif
