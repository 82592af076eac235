/* inside: what the namespace gets from this kernel, and moving into it. */
#ifndef COGNU_ENTER_INSIDE_H
#define COGNU_ENTER_INSIDE_H

#include <cognu/base.h>

/* Mounts procfs at ROOT/proc and a small /dev at ROOT/dev. What cannot be had is left out; verbose
 * says what and why. */
void inside_furnish(const char *root, bool proc, bool dev, bool verbose);
/* Makes root the root of this process and drops the old one. */
cg_err inside_enter(const char *root, struct cg_errbuf *eb);

#endif
