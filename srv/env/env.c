/* env: the environment as files, one a variable, shared by all who attach. Reading gives the value,
 * writing sets it, removing unsets it. Values are bytes; a shell's list is its elements, each ended
 * by NUL, as in Plan 9. */
#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <string.h>
#include <sys/stat.h>

enum {
    VARS_MAX = 4096,         /* an environment is small; more is a mistake or an attack */
    VALUE_BYTES_MAX = 65536, /* half of what Linux takes for one string of execve */
};

enum { KIND_ROOT, KIND_VAR, KINDS };

struct var {
    struct cg_list link;
    uint64_t id;
    char *name;
    struct cg_str value;
};

struct environment {
    struct cg_list vars; /* in the order of their making */
    uint64_t last_id;
    uint32_t count;
};

static struct environment the_env;

static struct var *by_id(uint64_t id)
{
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (v->id == id) {
            return v;
        }
    }
    return NULL;
}

static struct var *by_name(const char *name)
{
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (strcmp(v->name, name) == 0) {
            return v;
        }
    }
    return NULL;
}

/* *cursor is the id of the last variable given; ids grow along the list. */
static bool each_var(struct synth *s, uint64_t dir, uint64_t *cursor, char name[SYNTH_NAME_BYTES],
                     uint64_t *id)
{
    (void)s;
    (void)dir;
    CG_LIST_EACH (it, &the_env.vars) {
        struct var *v = CG_CONTAINER(it, struct var, link);
        if (v->id > *cursor) {
            *cursor = *id = v->id;
            return cg_span_str(cg_span_of(v->name), name, SYNTH_NAME_BYTES);
        }
    }
    return false;
}

static cg_err find_var(struct synth *s, uint64_t dir, const char *name, uint64_t *id)
{
    (void)s;
    (void)dir;
    struct var *v = by_name(name);
    *id = v ? v->id : 0;
    return v ? CG_OK : CG_ENOENT;
}

static void free_var(struct var *v)
{
    cg_str_fini(&v->value);
    cg_free(v->name);
    cg_free(v);
}

static cg_err create_var(struct synth_handle *dir, const char *name, uint32_t mode, uint16_t *kind,
                         uint64_t *id, struct cg_errbuf *eb)
{
    (void)dir;
    if (!S_ISREG(mode)) {
        return cg_fail(eb, CG_EPERM, "only plain files live in env: one a variable");
    }
    if (the_env.count == VARS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "the environment already has %d variables", VARS_MAX);
    }
    struct var *v = cg_zalloc(sizeof *v);
    char *copy = v ? cg_strdup(name) : NULL;
    if (!copy) {
        cg_free(v);
        return CG_ENOMEM;
    }
    *v = (struct var){.id = ++the_env.last_id, .name = copy};
    cg_list_push(&the_env.vars, &v->link);
    the_env.count++;
    *kind = KIND_VAR;
    *id = v->id;
    return CG_OK;
}

static cg_err remove_var(struct synth_handle *dir, const char *name, struct cg_errbuf *eb)
{
    (void)dir;
    struct var *v = by_name(name);
    if (!v) {
        return cg_fail(eb, CG_ENOENT, "no variable '%s'", name);
    }
    cg_list_del(&v->link);
    the_env.count--;
    free_var(v);
    return CG_OK;
}

static cg_err open_var(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    struct var *v = by_id(h->id);
    if (!v) {
        return cg_fail(eb, CG_ESTALE, "the variable was removed");
    }
    if (flags & NINEP_OPEN_TRUNC) {
        v->value.len = 0;
    }
    return CG_OK;
}

static cg_err read_var(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    struct var *v = by_id(h->id);
    if (!v) {
        return cg_fail(eb, CG_ESTALE, "the variable was removed");
    }
    return cg_str_add(out, v->value.data, v->value.len);
}

/* Makes the value at least size bytes long. */
static cg_err lengthen(struct var *v, uint64_t size, struct cg_errbuf *eb)
{
    if (size > VALUE_BYTES_MAX) {
        return cg_fail(eb, CG_EFBIG, "a variable holds at most %d bytes", VALUE_BYTES_MAX);
    }
    static const char zero[1];
    cg_err e = CG_OK;
    while (!e && v->value.len < size) {
        e = cg_str_add(&v->value, zero, 1);
    }
    return e;
}

static cg_err resize_var(struct synth_handle *h, uint64_t size, struct cg_errbuf *eb)
{
    struct var *v = by_id(h->id);
    if (!v) {
        return cg_fail(eb, CG_ESTALE, "the variable was removed");
    }
    if (size < v->value.len) {
        v->value.len = (size_t)size;
    }
    return lengthen(v, size, eb);
}

static cg_err put_value(struct var *v, uint64_t offset, struct cg_span data, struct cg_errbuf *eb)
{
    uint64_t end = offset < VALUE_BYTES_MAX ? offset + data.len : UINT64_MAX;
    cg_err e = end > VALUE_BYTES_MAX ? lengthen(v, end, eb) : lengthen(v, offset, eb);
    if (e) {
        return e;
    }
    size_t over = v->value.len - (size_t)offset;
    over = over < data.len ? over : data.len;
    if (data.len > over) {
        e = cg_str_add(&v->value, data.data + over, data.len - over);
    }
    if (!e && over) {
        memcpy(v->value.data + offset, data.data, over);
    }
    return e;
}

static void write_var(struct synth_handle *h, struct ninep_req *r)
{
    struct var *v = by_id(h->id);
    uint64_t offset = r->t.write.offset;
    if (v && h->fid->open_flags & NINEP_OPEN_APPEND) {
        offset = v->value.len;
    }
    cg_err e = v ? put_value(v, offset, r->t.write.data, &r->eb)
                 : cg_fail(&r->eb, CG_ESTALE, "the variable was removed");
    if (e) {
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static uint64_t size_of_var(struct synth_handle *h)
{
    struct var *v = by_id(h->id);
    return v ? v->value.len : 0;
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0777, .create = create_var, .remove = remove_var},
    [KIND_VAR] = {.mode = S_IFREG | 0666,
                  .each = each_var,
                  .find = find_var,
                  .open = open_var,
                  .text = read_var,
                  .write = write_var,
                  .resize = resize_var,
                  .size = size_of_var},
};

int main(int argc, char **argv)
{
    cg_log_init("env");
    cg_list_init(&the_env.vars);
    return synth_serve_main(argc, argv, "env", kinds, KINDS);
}
