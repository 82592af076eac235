/* synth_stream: a descriptor whose bytes go to and from requests: pipes, terminals, sockets.
 *
 * Bytes move only while a request wants them: the descriptor is polled while one waits, so a slow
 * reader slows the writer, and nothing is buffered. A waiting request remembers its waiter in
 * r->aux.
 */
#ifndef COGNU_SYNTH_STREAM_H
#define COGNU_SYNTH_STREAM_H

#include <cognu/ninep.h>
#include <uv.h>

enum { SYNTH_WAITERS_MAX = 16 }; /* requests that wait on one stream */

struct synth_stream {
    uv_loop_t *loop;
    int fd;       /* nonblocking; -1: closed: reads say end of file, writes fail */
    bool writing; /* serves Twrite, else Tread */
    bool packets; /* an empty read is an empty packet, not the end */
    bool last;    /* what can be read now is all: then comes the end */
    bool polled;
    uv_poll_t *poll;
    struct cg_list waiters;
    uint32_t waiting;
};

void synth_stream_init(struct synth_stream *s, uv_loop_t *loop, bool writing);
void synth_stream_open(struct synth_stream *s, int fd); /* takes fd */
/* Ends the stream: closes the descriptor; what waits is answered as at the end of file. */
void synth_stream_close(struct synth_stream *s);
/* Of reading: what is there is still given, and then the end, though others hold the other side. */
void synth_stream_finish(struct synth_stream *s);
/* Answers r now, or when bytes can move. */
void synth_stream_request(struct synth_stream *s, struct ninep_req *r);

/* Requests that wait for an event instead of bytes: a list of waiters. */
cg_err synth_wait(struct cg_list *waiters, struct ninep_req *r);
/* The first request that waits, taken off the list; NULL: none. */
struct ninep_req *synth_wake(struct cg_list *waiters);
/* A request of either kind is cancelled: answers it with CG_ECANCELED. Does nothing when it does
 * not wait. */
void synth_cancel_waiting(struct ninep_req *r);
/* Fills a Tread reply from a text, by the request's offset. */
void synth_answer_text(struct ninep_req *r, const char *text, size_t len);

#endif
