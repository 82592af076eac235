/* log: what the components of a node say, one file a component, newest text last. `--dir PATH`
 * names the folder that init writes (NAME.log). Reading gives at most the last TAIL_BYTES_MAX
 * bytes, beginning at a whole line. A name whose log is gone is listed no more. */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL_BYTES_MAX = 1 << 20, COMPONENTS_MAX = 256 };
enum { KIND_ROOT, KIND_LOG, KINDS };

static int log_dir = -1;
/* Names get numbers as they are first seen, and keep them: the number is the file's identity. */
static char *names[COMPONENTS_MAX];
static uint32_t name_count;

static uint64_t number_of(const char *name, size_t len)
{
    for (uint32_t i = 0; i < name_count; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
            return i + 1;
        }
    }
    char *copy = name_count < COMPONENTS_MAX ? cg_strndup(name, len) : NULL;
    if (!copy) {
        return 0;
    }
    names[name_count++] = copy;
    return name_count;
}

static void look_for_names(void)
{
    int fd = openat(log_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        size_t len = strlen(d->d_name);
        if (len > 4 && strcmp(d->d_name + len - 4, ".log") == 0) {
            number_of(d->d_name, len - 4);
        }
    }
    closedir(dir);
}

static int open_log(uint64_t number, int flags)
{
    struct cg_str file = {0};
    int fd = -1;
    if (cg_str_addf(&file, "%s.log", names[number - 1]) == CG_OK) {
        fd = openat(log_dir, file.data, flags | O_CLOEXEC | O_NOFOLLOW);
    }
    cg_str_fini(&file);
    return fd;
}

static bool is_there(uint64_t number, uint64_t *size)
{
    struct stat st = {0};
    int fd = open_log(number, O_PATH);
    bool there = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (fd >= 0) {
        close(fd);
    }
    *size = (uint64_t)st.st_size;
    return there;
}

static bool each_log(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    (void)dir;
    uint64_t size;
    if (*cursor == 0) {
        look_for_names();
    }
    while (*cursor < name_count) {
        *id = ++*cursor;
        if (is_there(*id, &size)) {
            return cg_span_str(cg_span_of(names[*id - 1]), name, SYNTH_NAME_BYTES);
        }
    }
    return false;
}

static uint64_t size_of_log(struct synth_handle *h)
{
    uint64_t size = 0;
    return is_there(h->id, &size) && size < TAIL_BYTES_MAX ? size : TAIL_BYTES_MAX;
}

static cg_err find_log(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    look_for_names();
    for (uint32_t i = 0; i < name_count; i++) {
        uint64_t size;
        if (strcmp(names[i], name) == 0) {
            *id = i + 1;
            return is_there(*id, &size) ? CG_OK : CG_ENOENT;
        }
    }
    return CG_ENOENT;
}

static cg_err add_tail(int fd, struct cg_str *out)
{
    static char piece[65536];
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return cg_err_from_errno(errno);
    }
    off_t at = st.st_size > TAIL_BYTES_MAX ? st.st_size - TAIL_BYTES_MAX : 0;
    bool skip = at > 0; /* to the first whole line */
    cg_err e = CG_OK;
    ssize_t n;
    while (!e && (n = pread(fd, piece, sizeof piece, at)) > 0) {
        at += n;
        char *from = piece, *line = skip ? memchr(piece, '\n', (size_t)n) : NULL;
        if (line) {
            from = line + 1;
            skip = false;
        }
        if (!skip) {
            e = cg_str_add(out, from, (size_t)(piece + n - from));
        }
    }
    return e;
}

static cg_err text_of_log(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    int fd = open_log(h->id, O_RDONLY);
    if (fd < 0) {
        return cg_fail(eb, CG_ENOENT, "this component has no log now");
    }
    cg_err e = add_tail(fd, out);
    close(fd);
    return e;
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_LOG] = {.mode = S_IFREG | 0444,
                  .each = each_log,
                  .find = find_log,
                  .text = text_of_log,
                  .size = size_of_log},
};

int main(int argc, char **argv)
{
    cg_log_init("log");
    const char *path = "/var/lib/cognu/log";
    if (argc > 2 && strcmp(argv[1], "--dir") == 0) {
        path = argv[2];
        argv[2] = argv[0];
        argv += 2;
        argc -= 2;
    }
    log_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log_dir < 0) {
        cg_log(CG_ERROR_LEVEL, "cannot open the folder of logs %s: %s (name it with --dir)", path,
               strerror(errno));
        return 1;
    }
    return synth_serve_main(argc, argv, "log", kinds, KINDS);
}
