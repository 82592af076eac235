/* uv__.h: what the files of the libuv glue share; include/cognu/ninep_uv.h is its face.
 *
 * uv_io.c      one connection: frames in and out, after an optional line of text
 * uv_server.c  listeners, their connections, the server's tick
 * uv_client.c  a client's link: directly, or by the gate's dial socket
 * serve_main.c a whole file server as a program
 *
 * What is sent during one turn of the loop is gathered and written when the turn ends, just before
 * the loop would sleep, so that a chain or a burst of replies is one writev. Nothing here calls
 * back from within a send.
 */
#ifndef COGNU_UV__H
#define COGNU_UV__H

#include <cognu/ninep_uv.h>

enum {
    UV__STAGING_BYTES =
        256 << 10,            /* shared by all connections of a loop: many small frames a read */
    UV__PEEK_BYTES = 4 << 10, /* when a large frame is likely, read little but its beginning */
    UV__DIRECT_BYTES_MIN = 32 << 10, /* what is left of a frame: from here on, read in place */
    UV__WRITE_FRAMES_MAX = 64,       /* of one writev */
    UV__OUT_BYTES_MAX = 4 << 20,     /* waiting for a slow reader: a few of the largest replies */
    UV__SOCKET_BYTES = 1 << 20,      /* the kernel's buffer each way: one bulk frame */
    UV__CONNS_MAX = 16384,           /* of a listener: far below what sessions allow */
    UV__BACKLOG = 512,
};

/* One for each loop, made at the first use. */
struct uv__shared {
    struct cg_list link;
    uv_loop_t *loop;
    uint32_t refs;
    uv_prepare_t flush;
    struct cg_list flushing; /* connections that have something to write */
    uint8_t *staging;
};
struct uv__shared *uv__shared_get(uv_loop_t *loop); /* NULL: no memory */
void uv__shared_put(struct uv__shared *s);

struct uv__io;
struct uv__io_ops {
    void (*line)(struct uv__io *io, char *line); /* without its newline; then frames follow */
    void (*frame)(struct uv__io *io, struct ninep_frame *f); /* takes f */
    void (*turn)(struct uv__io *io);                         /* a batch of frames was given */
    /* The connection is over, by the peer, by an error, or after finish: the owner calls close. */
    void (*end)(struct uv__io *io, cg_err why, const char *detail);
    void (*closed)(struct uv__io *io); /* the owner frees it */
};

struct uv__io {
    uv_pipe_t pipe;
    uv_write_t write;
    struct uv__shared *shared;
    const struct uv__io_ops *ops;
    struct ninep_framer *framer; /* NULL while a line is awaited */
    struct cg_str line;
    struct cg_str held; /* bytes that were read but not looked at: the peer reads too slowly */
    struct cg_list out, writing;
    struct cg_list flush_link;
    size_t out_bytes; /* of out and writing */
    bool bounded;     /* stop reading while too much waits in out */
    bool reading, direct, bulk, finishing, closing;
};

/* io->pipe is initialised by this, and then connected or accepted by the owner. */
cg_err uv__io_init(struct uv__io *io, uv_loop_t *loop, const struct uv__io_ops *ops);
void uv__io_want_line(struct uv__io *io);                           /* before start */
void uv__io_framer(struct uv__io *io, struct ninep_framer *framer); /* from now on */
cg_err uv__io_start(struct uv__io *io);
void uv__io_send(struct uv__io *io, struct ninep_frame *f); /* takes f */
void uv__io_finish(struct uv__io *io); /* write what can be written now, then end */
void uv__io_close(struct uv__io *io);
bool uv__io_peer_uid(struct uv__io *io, uint32_t *uid);

/* Calls tick when it is due. */
struct uv__ticker {
    uv_timer_t timer;
    uint64_t (*tick)(void *ctx);
    void *ctx;
    bool poked, ticking;
};
void uv__ticker_init(struct uv__ticker *t, uv_loop_t *loop, uint64_t (*tick)(void *), void *ctx);
void uv__ticker_poke(struct uv__ticker *t); /* tick soon, not now */

/* "NODE_KEY_HEX BINDING_HEX" into a remote peer. */
bool uv__peer_parse(char *text, struct ninep_peer *peer);

#endif
