/* glue.h: what the files of the libuv glue share; include/cognu/ninep_uv.h is its face.
 *
 * uv_io.c      one connection: frames in and out, after an optional line of text
 * uv_server.c  listeners, their connections, the server's tick
 * uv_client.c  a client's link: directly, or by the gate's dial socket
 * serve_main.c a whole file server as a program
 *
 * What is sent during one turn of the loop is gathered and written when the turn ends, just before
 * the loop would sleep, so that a chain or a burst of replies is one writev. Nothing here calls
 * back from within a send. Frames that nobody waits for (lazy) are held for a moment more, so that
 * a file's create, its first write and what closes it go together.
 */
#ifndef COGNU_GLUE_H
#define COGNU_GLUE_H

#include <cognu/ninep_uv.h>

enum {
    GLUE__STAGING_BYTES =
        256 << 10,              /* shared by all connections of a loop: many small frames a read */
    GLUE__PEEK_BYTES = 4 << 10, /* when a large frame is likely, read little but its beginning */
    GLUE__DIRECT_BYTES_MIN = 32 << 10, /* what is left of a frame: from here on, read in place */
    GLUE__WRITE_FRAMES_MAX = 64,       /* of one writev */
    GLUE__OUT_BYTES_MAX = 4 << 20,     /* waiting for a slow reader: a few of the largest replies */
    GLUE__HOLD_MS = 1,                 /* lazy frames wait so long for others to go with */
    GLUE__HOLD_BYTES_MAX = 64 << 10,   /* but not when there are so many bytes of them */
    GLUE__SOCKET_BYTES = 1 << 20,      /* the kernel's buffer each way: one bulk frame */
    GLUE__CONNS_MAX = 16384,           /* of a listener: far below what sessions allow */
    GLUE__BACKLOG = 512,
};

/* One for each loop, made at the first use. */
struct glue__shared {
    struct cg_list link;
    uv_loop_t *loop;
    uint32_t refs;
    uv_prepare_t flush;
    uv_timer_t hold;
    uint32_t handles;        /* of these two, not closed yet */
    struct cg_list flushing; /* connections that have something to write */
    struct cg_list holding;  /* and those whose frames are all lazy, until hold fires */
    uint8_t *staging;
};
struct glue__shared *glue__shared_get(uv_loop_t *loop); /* NULL: no memory */
void glue__shared_put(struct glue__shared *s);

struct glue__io;
struct glue__io_ops {
    void (*line)(struct glue__io *io, char *line); /* without its newline; then frames follow */
    void (*frame)(struct glue__io *io, struct ninep_frame *f); /* takes f */
    void (*turn)(struct glue__io *io);                         /* a batch of frames was given */
    /* The connection is over, by the peer, by an error, or after finish: the owner calls close. */
    void (*end)(struct glue__io *io, cg_err why, const char *detail);
    void (*closed)(struct glue__io *io); /* the owner frees it */
};

struct glue__io {
    uv_pipe_t pipe;
    uv_write_t write;
    struct glue__shared *shared;
    const struct glue__io_ops *ops;
    struct ninep_framer *framer; /* NULL while a line is awaited */
    struct cg_str line;
    struct cg_str held; /* bytes that were read but not looked at: the peer reads too slowly */
    struct cg_list out, writing;
    struct cg_list flush_link; /* in flushing or holding */
    size_t out_bytes;          /* of out and writing */
    bool bounded;              /* stop reading while too much waits in out */
    bool reading, direct, bulk, finishing, closing;
};

/* io->pipe is initialised by this, and then connected or accepted by the owner. */
cg_err glue__io_init(struct glue__io *io, uv_loop_t *loop, const struct glue__io_ops *ops);
void glue__io_want_line(struct glue__io *io);                           /* before start */
void glue__io_framer(struct glue__io *io, struct ninep_framer *framer); /* from now on */
cg_err glue__io_start(struct glue__io *io);
void glue__io_send(struct glue__io *io, struct ninep_frame *f); /* takes f */
void glue__io_hurry(struct glue__io *io);  /* what is held goes when this turn of the loop ends */
void glue__io_finish(struct glue__io *io); /* write what can be written now, then end */
void glue__io_close(struct glue__io *io);
bool glue__io_peer_uid(struct glue__io *io, uint32_t *uid);

/* Calls tick when it is due. */
struct glue__ticker {
    uv_timer_t timer;
    uint64_t (*tick)(void *ctx);
    void *ctx;
    bool poked, ticking;
};
void glue__ticker_init(struct glue__ticker *t, uv_loop_t *loop, uint64_t (*tick)(void *),
                       void *ctx);
void glue__ticker_poke(struct glue__ticker *t); /* tick soon, not now */

/* "NODE_KEY_HEX BINDING_HEX" into a remote peer. */
bool glue__peer_parse(char *text, struct ninep_peer *peer);

#endif
