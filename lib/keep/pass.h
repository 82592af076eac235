/* pass: one message with at most one descriptor, over a SEQPACKET socket. */
#ifndef KEEP_PASS_H
#define KEEP_PASS_H

#include <cognu/keep.h>

#include <sys/types.h>

enum { PASS_BYTES_MAX = 4 + CG_DETAIL_BYTES };

/* fd -1: none. errno as sendmsg's. */
bool pass_send(int sock, const void *data, size_t len, int fd);
/* Bytes read, 0: the end, -1: errno; more than cap is cut. *fd is -1 when none came; of several the
 * first stays. */
ssize_t pass_receive(int sock, void *data, size_t cap, int *fd);

#endif
