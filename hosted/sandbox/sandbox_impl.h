/* What the files of the sandbox share. All of it runs in the new process, before its program does.
 */
#ifndef COGNU_SANDBOX_IMPL_H
#define COGNU_SANDBOX_IMPL_H

#include <cognu/sandbox.h>

/* cg_fail with the host's error number: "WHAT: strerror". */
cg_err sandbox__failed(struct cg_errbuf *eb, const char *fmt, ...) CG_PRINTF(2, 3);

/* Restricts this process to the binds, by Landlock. Paths are those of the new root. */
cg_err sandbox__landlock(const struct manifest *m, const struct sandbox_bind *bind, uint32_t binds,
                         struct cg_errbuf *eb);
/* Becomes the manifest's uid with its privileges; nothing can be regained. */
cg_err sandbox__identity(const struct manifest *m, struct cg_errbuf *eb);
/* Loads the system-call filter; the last step before exec. */
cg_err sandbox__seccomp(const struct manifest *m, struct cg_errbuf *eb);

#endif
