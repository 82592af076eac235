/* notify: the thread that tells the kernel what to forget, and what it may keep. Private to dev.
 *
 * The loop thread pushes notes; the thread writes them in order; finished fences come back to the
 * loop by an eventfd, and so do frames of bytes to keep, whose holders are counted there. A note
 * that the kernel answers with ENOENT was about something that it does not hold, which is as good
 * as done.
 *
 * A note about a file's pages waits in the kernel, out of reach even of SIGKILL, for those that a
 * request which is under way has locked. When this process is killed then, the thread stays until
 * the request is answered, and that is up to our successor. So the thread has descriptors of its
 * own, and no others than it needs: those of the process close with its main thread, and who waits
 * for its end (init, by the socket of lib/keep) learns of it.
 */
#ifndef COGNU_FUSE_NOTIFY_H
#define COGNU_FUSE_NOTIFY_H

#include "msg.h"
#include <cognu/ninep.h>
#include <uv.h>

struct notifier;

cg_err notifier_new(uv_loop_t *loop, int fd, void (*settled)(void *ctx, void *token), void *ctx,
                    struct notifier **out);
/* Waits for the thread; fences that were not passed are dropped. Frees n when the loop is done. */
void notifier_free(struct notifier *n);
void notifier_inode(struct notifier *n, uint64_t nodeid, int64_t off, int64_t len);
/* Dropped when NOTIFY_STORES_MAX of them wait. The data lies in frame, which is held until then. */
enum { NOTIFY_STORES_MAX = 32 };
void notifier_store(struct notifier *n, uint64_t nodeid, uint64_t off, const void *data,
                    uint32_t len, struct ninep_frame *frame);
bool notifier_settled(struct notifier *n, void *token);

#endif
