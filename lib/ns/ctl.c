/* The text form: lines that change the mount table, and the table as lines.
 *
 * The text is the list of lines that are still in force, in the order in which they were executed;
 * a line goes when all that it mounted is gone. Paths are kept as they were named, without "."
 * and "..". NEW is walked when the line is executed and held by reference. OLD is walked too; what
 * does not exist on its way, or cannot be reached, is made by the namespace. The last element needs
 * no walk in a tree that was not attached yet, for a mount shows its own children beside the
 * tree's: so a mount on a place directly below another dials nobody.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

enum verb { BIND, MOUNT, UNMOUNT, NODE, JAIL, CHDEV };

static const char *const verbs[] = {"bind", "mount", "unmount", "node", "jail", "chdev"};

enum { WORDS_MAX = 64 };

struct ns__path {
    struct ns_op *op; /* NULL: it has ended, the lookup under way frees the path */
    struct ns_op *inner;
    bool in_lookup, left;
    enum verb verb;
    bool after, before, create;
    char *ticket;
    bool remove; /* of chdev */
    char *what;  /* canonical NEW, specification, or node */
    char *old;   /* canonical OLD */
    char walk[NS_PATH_BYTES_MAX];
    char *at; /* rest of the path that is being walked */
    bool make;
    struct ns_node *node; /* where the walk is, counted */
    struct ns_node *new;  /* where NEW led, counted */
    struct ns__tree *tree;
};

void ns__path_free(struct ns__path *p)
{
    if (!p) {
        return;
    }
    p->op = NULL;
    if (p->inner) {
        struct ns_op *inner = p->inner;
        p->inner = NULL;
        p->left = true;
        ns_cancel(inner->ns, inner); /* its done comes back here */
        return;
    }
    if (p->node) {
        ns__node_put(p->node);
    }
    if (p->new) {
        ns__node_put(p->new);
    }
    if (p->tree) {
        ns__tree_put(p->tree);
    }
    cg_free(p->what);
    cg_free(p->ticket);
    cg_free(p->old);
    cg_free(p);
}

/* ---- reading a line */

/* Without "//", "." and "..": at most NS_DEPTH_MAX elements remain. */
static char *canonical(const char *path, struct ns_op *op)
{
    char out[NS_PATH_BYTES_MAX];
    size_t len = 0, depth = 0;
    const char *p = path;
    if (*p != '/') {
        ns__note(op, CG_EINVAL, "a path in a mount line begins with /");
        return NULL;
    }
    while (*p) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (len > 0 && out[--len] != '/') {
            }
            depth -= depth > 0;
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            if (n > NINEP_NAME_BYTES_MAX || len + n + 2 > sizeof out || ++depth > NS_DEPTH_MAX) {
                ns__note(op, CG_ENAMETOOLONG, "the path is too long");
                return NULL;
            }
            out[len++] = '/';
            memcpy(out + len, p, n);
            len += n;
        }
        p += n;
    }
    return len ? cg_strndup(out, len) : cg_strdup("/");
}

/* NODE!SERVICE[!TREE]; "." is this node. */
static void parse_spec(struct ns_op *op, struct ns__path *p, const char *text)
{
    char spec[NS_PATH_BYTES_MAX];
    struct cg_str canon = {0};
    size_t len = strlen(text);
    if (len >= sizeof spec) {
        ns__note(op, CG_ENAMETOOLONG, "the name of the tree is too long");
        return;
    }
    memcpy(spec, text, len + 1);
    char *service = strchr(spec, '!');
    char *tree = service ? strchr(service + 1, '!') : NULL;
    if (!service || service == spec || service[1] == '\0' || service[1] == '!') {
        ns__note(op, CG_EBADFORMAT, "a mount names NODE!SERVICE or NODE!SERVICE!TREE");
        return;
    }
    *service++ = '\0';
    if (tree) {
        *tree++ = '\0';
    }
    const char *node = strcmp(spec, ".") == 0 ? op->ns->self : spec;
    if (p->verb == MOUNT && !ns__passes(op->ns, node, service)) {
        ns__note(op, CG_EPERM, "chdev keeps this namespace from that service");
        return;
    }
    cg_err e = ns__tree_get(op->ns, node, service, tree ? tree : "", p->ticket, &p->tree);
    if (!e) {
        e = cg_str_addf(&canon, tree && *tree ? "%s!%s!%s" : "%s!%s", node, service, tree);
    }
    p->what = canon.data;
    ns__note(op, e, "no room for another tree");
}

static void parse_flags(struct ns_op *op, struct ns__path *p, char **argv, int argc, int *i)
{
    for (; *i < argc && argv[*i][0] == '-' && argv[*i][1]; ++*i) {
        if (p->verb == MOUNT && !p->ticket && strcmp(argv[*i], "-k") == 0 && *i + 1 < argc) {
            p->ticket = cg_strdup(argv[++*i]);
            ns__note(op, p->ticket ? CG_OK : CG_ENOMEM, "no memory for the ticket");
            continue;
        }
        for (const char *c = argv[*i] + 1; *c; c++) {
            p->after = p->after || *c == 'a';
            p->before = p->before || *c == 'b';
            p->create = p->create || *c == 'c';
            if (!strchr("abc", *c)) {
                ns__note(op, CG_EINVAL,
                         "unknown flag: bind and mount know -a, -b and -c, mount also -k TICKET");
            }
        }
    }
    if (p->after && p->before) {
        ns__note(op, CG_EINVAL, "-a and -b exclude each other");
    }
}

static void parse_args(struct ns_op *op, struct ns__path *p, char **argv, int argc)
{
    int i = 1;
    if (p->verb == BIND || p->verb == MOUNT) {
        parse_flags(op, p, argv, argc, &i);
    }
    int left = argc - i;
    static const int least[] = {2, 2, 1, 1, 0}, most[] = {2, 2, 2, 1, 0};
    if (left < least[p->verb] || left > most[p->verb]) {
        ns__note(op, CG_EBADFORMAT, "wrong number of arguments");
        return;
    }
    if (p->verb == BIND) {
        p->what = canonical(argv[i], op);
    } else if (p->verb == MOUNT) {
        parse_spec(op, p, argv[i]);
    } else if (p->verb == UNMOUNT && left == 2) {
        p->what = argv[i][0] == '/' ? canonical(argv[i], op) : NULL;
        if (argv[i][0] != '/') {
            parse_spec(op, p, argv[i]);
        }
    } else if (p->verb == NODE) {
        p->what = cg_strdup(strcmp(argv[i], ".") == 0 ? op->ns->self : argv[i]);
        if (!cg_name_ok(cg_span_of(argv[i])) && strcmp(argv[i], ".") != 0) {
            ns__note(op, CG_EINVAL, "that cannot be a node's name");
        }
        struct cg_str old = {0};
        (void)cg_str_addf(&old, "/n/%s", p->what ? p->what : "");
        p->old = old.data;
    }
    if (p->verb < NODE) {
        p->old = canonical(argv[argc - 1], op);
    }
    if ((p->verb != JAIL && !p->old) || (p->verb != JAIL && p->verb != UNMOUNT && !p->what)) {
        ns__note(op, CG_ENOMEM, "no memory for the line");
    }
}

/* what becomes the words behind the verb, as the line has them. */
static void parse_chdev(struct ns_op *op, struct ns__path *p, char **argv, int argc)
{
    struct cg_str words = {0};
    int i = argc > 1 && strcmp(argv[1], "-r") == 0 ? 2 : 1;
    p->remove = i == 2;
    cg_err e = i < argc ? CG_OK : CG_EBADFORMAT;
    for (; i < argc && !e; i++) {
        if (strpbrk(argv[i], " \t\n'") || argv[i][0] == '-' || argv[i][0] == '\0') {
            e = CG_EINVAL;
        }
        bool here = strncmp(argv[i], ".!", 2) == 0;
        e = e ? e
              : cg_str_addf(&words, "%s%s%s", words.len ? " " : "", here ? op->ns->self : "",
                            argv[i] + here);
    }
    p->what = words.data;
    ns__note(op, e, "chdev [-r] SERVICE..., as hostfs or beta!net");
}

static void parse(struct ns_op *op, struct ns__path *p, const char *line)
{
    char *copy = cg_strdup(line);
    char *argv[WORDS_MAX];
    int argc = copy && strlen(copy) < NS_LINE_BYTES_MAX ? cg_tokenize(copy, argv, WORDS_MAX) : -1;
    size_t v = 0;
    while (argc > 0 && v < CG_COUNT(verbs) && strcmp(argv[0], verbs[v]) != 0) {
        v++;
    }
    if (argc <= 0 || v == CG_COUNT(verbs)) {
        ns__note(op, CG_EBADFORMAT,
                 "a line is bind, mount, unmount, node, chdev or jail with arguments");
    } else if (op->ns->jail) {
        ns__note(op, CG_ENOMOUNT, "this namespace is a jail: its mount table is final");
    } else {
        p->verb = (enum verb)v;
        if (p->verb == CHDEV) {
            parse_chdev(op, p, argv, argc);
        } else {
            parse_args(op, p, argv, argc);
        }
    }
    cg_free(copy);
}

/* ---- walking */

static void begin_walk(struct ns__path *p, struct ns *ns, const char *path, bool make)
{
    size_t len = strlen(path);
    cg_assert(len < sizeof p->walk);
    memcpy(p->walk, path, len + 1);
    p->at = p->walk + 1;
    p->make = make;
    if (p->node) {
        ns__node_put(p->node);
    }
    p->node = ns_root(ns);
    ns_node_ref(p->node);
}

static void step_to(struct ns__path *p, struct ns_node *n) /* takes n */
{
    ns__node_put(p->node);
    p->node = n;
}

/* A head of trees none of which is attached. */
static bool untouched(const struct ns_node *n)
{
    bool any = false;
    if (n->mount) {
        CG_LIST_EACH (it, &n->mount->members) {
            struct ns__member *m = CG_CONTAINER(it, struct ns__member, link);
            if (m->tree && m->tree->state == NS__TREE_UP) {
                return false;
            }
            any = any || m->tree;
        }
    }
    return any;
}

static void stepped(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct ns__path *p = aux;
    p->inner = NULL;
    if (p->left) { /* the line's operation has ended */
        if (e == CG_OK) {
            ns__node_put(st->node);
        }
        ns__path_free(p);
        return;
    }
    if (e == CG_OK) {
        step_to(p, st->node);
    } else if (p->make && (e == CG_ENOENT || untouched(p->node))) {
        struct ns_node *n = ns__synth_get(p->node, p->at);
        if (n) {
            step_to(p, n);
        } else {
            ns__note(p->op, CG_ENOMEM, "no memory for a mount point");
        }
    } else {
        ns__note(p->op, e, detail);
    }
    p->at += strlen(p->at) + 1;
    if (!p->in_lookup) {
        ns__op_run(p->op);
    }
}

/* true: p->node is where the path leads. false: op waits or has failed. */
static bool walk(struct ns_op *op, struct ns__path *p, const char *end)
{
    while (p->at < end && *p->at) {
        char *slash = strchr(p->at, '/');
        if (slash) {
            *slash = '\0';
        }
        struct ns_node *own = ns__own_child(p->node, p->at);
        if (!own && p->make && slash == NULL && untouched(p->node)) {
            own = ns__synth_get(p->node, p->at);
        }
        if (own) {
            step_to(p, own);
            p->at += strlen(p->at) + 1;
            continue;
        }
        p->in_lookup = true;
        p->inner = ns__lookup_bare(op->ns, p->node, p->at, stepped, p);
        p->in_lookup = false;
        if (p->inner) {
            return false;
        }
        if (op->err) {
            ns__fail(op, op->err, op->detail);
            return false;
        }
    }
    return true;
}

/* ---- changing the table */

static struct ns__line *line_add(struct ns *ns, const char *text, bool sticks)
{
    size_t len = strlen(text);
    struct ns__line *l = cg_zalloc(sizeof *l + len + 1);
    if (l) {
        memcpy(l->text, text, len + 1);
        l->sticks = sticks;
        cg_list_push(&ns->lines, &l->link);
    }
    return l;
}

static struct ns__line *line_of(struct ns *ns, const struct ns__path *p)
{
    struct cg_str s = {0};
    cg_err e = cg_str_addf(&s, "%s%s%s", verbs[p->verb],
                           p->after    ? " -a"
                           : p->before ? " -b"
                                       : "",
                           p->create ? " -c" : "");
    if (p->verb == CHDEV) {
        s.len = 0;
        e = cg_str_addf(&s, "chdev%s %s", p->remove ? " -r" : "", p->what);
    }
    const char *args[] = {p->ticket ? "-k" : NULL, p->ticket, p->what,
                          p->verb == NODE ? NULL : p->old};
    for (size_t i = 0; i < CG_COUNT(args) && !e && p->verb != CHDEV; i++) {
        if (args[i]) {
            e = cg_str_add(&s, " ", 1);
            e = e ? e : cg_str_add_quoted(&s, args[i]);
        }
    }
    struct ns__line *l = e ? NULL : line_add(ns, s.data, p->verb >= UNMOUNT);
    cg_str_fini(&s);
    return l;
}

static bool is_dir(const struct ns_node *n)
{
    return !n->obj || (n->obj->attr.mode & S_IFMT) == S_IFDIR;
}

/* The mount at n, made when there is none. */
static struct ns__mount *mount_at(struct ns__path *p, struct ns_node *n, const char *old)
{
    if (n->mount) {
        return n->mount;
    }
    struct ns__mount *m = ns__mount_new(n->ns, n, old);
    if (m && n->obj && (p->after || p->before)) { /* a union begins with what it covers */
        n->obj->tree->refs++;
        if (!ns__member_add(m, false, n->obj->tree, n->obj, NULL)) {
            ns__mount_drop(m);
            return NULL;
        }
    }
    return m;
}

static bool add(struct ns__path *p, struct ns__mount *m, struct ns__line *line, uint32_t *added,
                struct ns__tree *tree, struct ns__obj *obj, struct ns_node *synth)
{
    if (tree && obj) {
        tree->refs++; /* a tree alone comes with its reference */
    }
    struct ns__member *made = ns__member_add(m, p->before, tree, obj, synth);
    if (!made) {
        return false;
    }
    if (p->before && *added > 0) { /* behind those of the same line */
        struct cg_list *at = m->members.next;
        for (uint32_t i = 0; i < *added; i++) {
            at = at->next;
        }
        cg_list_del(&made->link);
        cg_list_push_front(at, &made->link);
    }
    made->what = cg_strdup(p->what);
    made->create = p->create && *added == 0;
    made->line = line;
    line->refs++;
    ++*added;
    return made->what;
}

/* The members of a union are copied: it may change later without this mount's changing. */
static bool add_new(struct ns__path *p, struct ns__mount *m, struct ns__line *line)
{
    uint32_t added = 0;
    struct ns_node *n = p->new;
    if (p->tree) {
        struct ns__tree *t = p->tree;
        p->tree = NULL;
        return add(p, m, line, &added, t, NULL, NULL);
    }
    if (n->obj) {
        return add(p, m, line, &added, n->obj->tree, n->obj, NULL);
    }
    if (!n->mount) {
        return add(p, m, line, &added, NULL, NULL, n);
    }
    struct ns__member *copy[NS_MEMBERS_MAX];
    uint32_t count = 0;
    CG_LIST_EACH (it, &n->mount->members) {
        copy[count++] = CG_CONTAINER(it, struct ns__member, link);
    }
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        struct ns__member *from = copy[i];
        if (from->tree && !from->obj) {
            from->tree->refs++;
        }
        ok = add(p, m, line, &added, from->tree, from->obj, from->synth);
    }
    return ok && add(p, m, line, &added, NULL, NULL, n); /* and what is made below the head */
}

static void remove_old(struct ns__mount *m, const struct ns__line *but)
{
    ns__mount_changed(m);
    CG_LIST_EACH (it, &m->members) {
        struct ns__member *member = CG_CONTAINER(it, struct ns__member, link);
        if (member->line != but) {
            ns__member_free(member);
        }
    }
}

static bool mount_here(struct ns_op *op, struct ns__path *p, struct ns_node *point, const char *old,
                       struct ns__line *line)
{
    bool fresh = !point->mount;
    struct ns__mount *m = mount_at(p, point, old);
    uint32_t before = line->refs;
    if (!m || !add_new(p, m, line) || line->refs == before) {
        if (m && fresh) {
            ns__mount_drop(m);
        }
        ns__note(op, CG_ELIMIT, "the mount table is full");
        return false;
    }
    if (!p->after && !p->before) {
        remove_old(m, line);
    }
    ns__mount_changed(m);
    if (fresh) {
        ns__point_changed(m);
    }
    return true;
}

static void apply_mount(struct ns_op *op, struct ns__path *p)
{
    bool dir = p->tree || is_dir(p->new);
    if (dir != is_dir(p->node) || (!dir && (p->after || p->before))) {
        ns__note(op, CG_ENOTDIR, "a directory covers a directory, and only those form unions");
        return;
    }
    struct ns__line *line = line_of(op->ns, p);
    if (!line) {
        ns__note(op, CG_ENOMEM, "no memory for the line");
        return;
    }
    line->refs++;
    mount_here(op, p, p->node, p->old, line);
    ns__line_put(line);
}

/* A line that mounted several things stays, so what was taken from it is told by another. */
static void apply_unmount(struct ns_op *op, struct ns__path *p)
{
    struct ns__mount *m = p->node->mount;
    bool several = false, any = false;
    if (m) {
        CG_LIST_EACH (it, &m->members) {
            struct ns__member *member = CG_CONTAINER(it, struct ns__member, link);
            bool hit = member->line && (!p->what || strcmp(member->what, p->what) == 0);
            any = any || hit;
            several = several || (hit && member->line->sticks);
        }
    }
    if (!any) {
        ns__note(op, CG_ENOTMOUNT, "nothing of that name is mounted there");
        return;
    }
    if (several && !line_of(op->ns, p)) {
        ns__note(op, CG_ENOMEM, "no memory for the line");
        return;
    }
    ns__members_remove(m, p->what);
    bool left = false;
    CG_LIST_EACH (it, &m->members) {
        left = left || CG_CONTAINER(it, struct ns__member, link)->line;
    }
    ns__mount_changed(m);
    if (!left && p->node != ns_root(op->ns)) {
        ns__members_remove(m, NULL);
        ns__mount_drop(m);
    }
}

/* What a node offers, and where: what it does not offer answers CG_ENOENT when it is touched. */
static const struct {
    const char *at, *service, *tree;
} template[] = {
    {"", "hostfs", "root"},     {"proc", "proc", ""}, {"net", "net", ""},
    {"dev", "dev", ""},         {"srv", "srv", ""},   {"log", "log", ""},
    {"metrics", "metrics", ""}, {"tmp", "ramfs", ""}, {"host", "hostfs", "host"},
    {"exec", "exec", ""},       {"chan", "chan", ""},
};

static struct ns_node *head_of(struct ns_node *n)
{
    if (n->mount) {
        ns_node_ref(n);
        return n;
    }
    return ns__head_get(n->ns, n->view, n->obj ? n->obj->mount : n->covered);
}

static void apply_node(struct ns_op *op, struct ns__path *p)
{
    struct ns__line *line = line_of(op->ns, p);
    char *node = p->what;
    struct ns_node *head = NULL;
    p->create = true;
    for (size_t i = 0; line && i < CG_COUNT(template) && !op->err; i++) {
        struct cg_str what = {0}, old = {0};
        struct ns_node *at = i == 0 ? p->node : ns__synth_get(head, template[i].at);
        cg_err e =
            ns__tree_get(op->ns, node, template[i].service, template[i].tree, NULL, &p->tree);
        e = e ? e
              : cg_str_addf(&what, "%s!%s%s%s", node, template[i].service,
                            template[i].tree[0] ? "!" : "", template[i].tree);
        e = e ? e : cg_str_addf(&old, "%s%s%s", p->old, i ? "/" : "", template[i].at);
        p->what = what.data;
        if (e || !at || !mount_here(op, p, at, old.data, line)) {
            ns__note(op, e ? e : CG_ENOMEM, "the mount table is full");
        } else if (i == 0) {
            head = head_of(at);
            if (!head) {
                ns__note(op, CG_ENOMEM, "no memory for a node");
            }
        }
        if (i > 0 && at) {
            ns__node_put(at);
        }
        cg_str_fini(&what);
        cg_str_fini(&old);
    }
    p->what = node;
    if (head) {
        ns__node_put(head);
    }
    if (!line) {
        ns__note(op, CG_ENOMEM, "no memory for the line");
    }
}

/* ---- which services are reached ---- */

bool ns__passes(const struct ns *ns, const char *node, const char *service)
{
    char one[2 * NINEP_NAME_BYTES_MAX], both[2 * NINEP_NAME_BYTES_MAX + 4];
    snprintf(one, sizeof one, " %s ", service);
    snprintf(both, sizeof both, " %.255s!%.255s ", node, service);
    for (const struct cg_list *it = ns->limits.next; it != &ns->limits; it = it->next) {
        const struct ns__limit *l =
            (const struct ns__limit *)((const char *)it - offsetof(struct ns__limit, link));
        bool named = strstr(l->names, one) || strstr(l->names, both);
        if (named == l->remove) {
            return false;
        }
    }
    return true;
}

static void apply_chdev(struct ns_op *op, struct ns__path *p)
{
    size_t len = strlen(p->what);
    struct ns__limit *l = cg_zalloc(sizeof *l + len + 3);
    if (!l || !line_of(op->ns, p)) {
        cg_free(l);
        ns__note(op, CG_ENOMEM, "no memory for the line");
        return;
    }
    l->remove = p->remove;
    l->names[0] = l->names[len + 1] = ' ';
    memcpy(l->names + 1, p->what, len);
    cg_list_push(&op->ns->limits, &l->link);
}

cg_err ns_limits(struct ns *ns, struct cg_str *out)
{
    cg_err e = CG_OK;
    CG_LIST_EACH (it, &ns->limits) {
        const struct ns__limit *l = CG_CONTAINER(it, struct ns__limit, link);
        e = e ? e : cg_str_addf(out, "chdev%s%s\n", l->remove ? " -r" : "", l->names);
    }
    return e;
}

bool ns_jailed(const struct ns *ns)
{
    return ns->jail;
}

static void apply(struct ns_op *op, struct ns__path *p)
{
    switch (p->verb) {
    case CHDEV:
        apply_chdev(op, p);
        break;
    case BIND:
    case MOUNT:
        apply_mount(op, p);
        break;
    case UNMOUNT:
        apply_unmount(op, p);
        break;
    case NODE:
        apply_node(op, p);
        break;
    case JAIL:
        op->ns->jail = true;
        if (!line_of(op->ns, p)) {
            ns__note(op, CG_ENOMEM, "no memory for the line");
        }
        break;
    }
    ns__save_table(op->ns); /* also what a line that failed has left */
    if (op->err) {
        ns__fail(op, op->err, op->detail);
    } else {
        ns__finish(op);
    }
}

static void ctl_step(struct ns_op *op)
{
    struct ns__path *p = op->path;
    if (p->verb == JAIL || p->verb == CHDEV) {
        apply(op, p);
        return;
    }
    if (op->index == 0) {
        if (p->verb == BIND) {
            begin_walk(p, op->ns, p->what, false);
        }
        op->index = 1;
    }
    if (op->index == 1) {
        const char *path = p->verb == BIND ? p->what : "";
        if (p->verb == BIND && !walk(op, p, p->walk + strlen(path) + 1)) {
            return;
        }
        p->new = p->verb == BIND ? p->node : NULL;
        p->node = p->verb == BIND ? NULL : p->node;
        begin_walk(p, op->ns, p->old, p->verb != UNMOUNT);
        op->index = 2;
    }
    if (walk(op, p, p->walk + strlen(p->old) + 1)) {
        apply(op, p);
    }
}

struct ns_op *ns_ctl(struct ns *ns, const char *line, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, ctl_step, aux);
    struct ns__path *p = op ? cg_zalloc(sizeof *p) : NULL;
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    op->path = p;
    if (p) {
        p->op = op;
        parse(op, p, line);
    } else {
        ns__note(op, CG_ENOMEM, "no memory for an operation");
    }
    return ns__op_start(op);
}

static void settle_step(struct ns_op *op)
{
    op->late_ns = op->ns->moved_until_ns;
    ns__finish(op);
}

struct ns_op *ns_settle(struct ns *ns, ns_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DONE, settle_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, "no memory for an operation");
        return NULL;
    }
    op->done.done = done;
    return ns__op_start(op);
}

cg_err ns_text(struct ns *ns, struct cg_str *out)
{
    CG_LIST_EACH (it, &ns->lines) {
        cg_err e = cg_str_addf(out, "%s\n", CG_CONTAINER(it, struct ns__line, link)->text);
        if (e) {
            return e;
        }
    }
    return CG_OK;
}
