/* notefs: a file server with two files. What is written to `note` is added to it, and `time` tells
 * the server's clock. Run it as: notefs --socket PATH */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

enum { ROOT, NOTE, TIME, KINDS };
enum { NOTE_BYTES_MAX = 65536 }; /* a note is short: beyond this, writes are refused */

static struct cg_str note;

static cg_err note_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    return cg_str_add(out, note.data, note.len);
}

static cg_err note_line(struct synth_handle *h, struct cg_span data, struct cg_errbuf *eb)
{
    (void)h;
    if (data.len > NOTE_BYTES_MAX - note.len) {
        return cg_fail(eb, CG_ENOSPC, "the note is full: restart notefs for a new one");
    }
    return cg_str_add(&note, data.data, data.len);
}

static cg_err time_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    uint64_t ns = cg_env_real.wall_ns(cg_env_real.ctx);
    return cg_str_addf(out, "%llu\n", (unsigned long long)(ns / 1000000000));
}

static const struct synth_kind kinds[KINDS] = {
    [ROOT] = {.mode = 040755},
    [NOTE] = {.name = "note", .mode = 0100644, .text = note_text, .line = note_line},
    [TIME] = {.name = "time", .mode = 0100444, .text = time_text},
};

int main(int argc, char **argv)
{
    struct synth *synth;
    if (synth_new(kinds, KINDS, &cg_env_real, NULL, &synth) != CG_OK) {
        return 1;
    }
    struct ninep_server_config config = {.name = "notefs",
                                         .ops = &synth_ops,
                                         .aux = synth,
                                         .env = &cg_env_real,
                                         .auth = &ninep_auth_local};
    int status = ninep_serve_main(argc, argv, &config);
    synth_free(synth);
    cg_str_fini(&note);
    return status;
}
