/* launch: handing a mounted /dev/fuse to the adapter. */
#ifndef COGNU_ENTER_LAUNCH_H
#define COGNU_ENTER_LAUNCH_H

#include <cognu/base.h>

char *launch_text(const char *path, struct cg_errbuf *eb); /* gives the file; NULL: eb says why */
cg_err launch_connect(const char *control, int *sock, struct cg_errbuf *eb);
/* Closes sock. Waits until the namespace is made; lines that failed are shown when verbose, and
 * when nothing of the text worked. */
cg_err launch_hand_over(int sock, int fd, const char *name, const char *text, bool verbose,
                        struct cg_errbuf *eb);

#endif
