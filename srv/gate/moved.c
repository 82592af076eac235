/* moved: notices that this machine has lost the address by which others reach this node, and tells
 * the cell the one that it has now.
 *
 * An address is here when a socket can be bound to it: to ask that takes no right to read
 * interfaces. Behind a translator a node's address is never here, so only one that has been here
 * counts as lost. The new one is that from which the kernel would send to another node of the
 * roster; the port stays. While there is none nothing is done: the old one may come back, and its
 * connections with it.
 */
#include "gate.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool bindable(const struct sockaddr_storage *a, socklen_t len)
{
    struct sockaddr_storage to = *a;

    if (to.ss_family == AF_INET) {
        ((struct sockaddr_in *)&to)->sin_port = 0;
    } else {
        ((struct sockaddr_in6 *)&to)->sin6_port = 0;
    }
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool here = fd >= 0 && bind(fd, (struct sockaddr *)&to, len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return here;
}

bool moved_is_here(const char *address)
{
    struct sockaddr_storage a;
    struct cg_errbuf eb;
    socklen_t len = 0;

    return line_address(address, &a, &len, &eb) == CG_OK && bindable(&a, len);
}

static uint16_t *port_of(struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? &((struct sockaddr_in *)a)->sin_port
                                   : &((struct sockaddr_in6 *)a)->sin6_port;
}

static bool loopback(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET
               ? ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
               : IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* Whence the kernel would send to a node; nothing is sent. False: it knows no way, or this gate
 * does not listen there. */
static bool source_to(const struct gate *g, const char *address, struct sockaddr_storage *out)
{
    struct sockaddr_storage to;
    struct cg_errbuf eb;
    socklen_t len = 0;

    if (line_address(address, &to, &len, &eb) != CG_OK ||
        !(to.ss_family == AF_INET ? g->listens_any4 : g->listens_any6)) {
        return false;
    }
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found = fd >= 0 && connect(fd, (struct sockaddr *)&to, len) == 0;
    len = sizeof(*out);
    found = found && getsockname(fd, (struct sockaddr *)out, &len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return found && !loopback(out);
}

static bool find_new(const struct gate *g, const struct secure_member *self,
                     char out[SECURE_ADDRESS_BYTES])
{
    struct sockaddr_storage old, new;
    struct cg_errbuf eb;
    socklen_t len = 0;
    bool found = false;

    if (line_address(self->address, &old, &len, &eb) != CG_OK) {
        return false;
    }
    for (uint32_t i = 0; i < g->roster.nodes && !found; i++) {
        const struct secure_member *m = &g->roster.node[i];
        found = m != self && source_to(g, m->address, &new);
    }
    if (found) {
        *port_of(&new) = *port_of(&old);
        line_address_text(&new, out);
    }
    return found;
}

/* Connections from addresses that are gone: neither end would hear of it soon. */
static void drop_links(struct gate *g)
{
    struct sockaddr_storage a;

    CG_LIST_EACH (it, &g->links) {
        struct link *l = CG_CONTAINER(it, struct link, list);
        socklen_t len = sizeof(a);
        if (l->net.fd >= 0 && getsockname(l->net.fd, (struct sockaddr *)&a, &len) == 0 &&
            !bindable(&a, len)) {
            link_fail(l, CG_ELINKDOWN, "this node has left the connection's address");
        }
    }
}

void moved_look(struct gate *g)
{
    const struct secure_member *self = secure_roster_node_by_key(&g->roster, g->key);
    struct secure_member moved;
    struct cg_errbuf eb = {0};

    if (self == NULL || strcmp(self->address, "-") == 0) {
        return;
    }
    if (moved_is_here(self->address)) {
        memcpy(g->here, self->address, sizeof(g->here));
        return;
    }
    bool was_here = strcmp(self->address, g->here) == 0 || strcmp(self->address, g->left) == 0;
    moved = *self;
    memset(moved.address, 0, sizeof(moved.address));
    if (!was_here || !find_new(g, self, moved.address)) {
        return;
    }
    memcpy(g->left, self->address, sizeof(g->left));
    memcpy(g->here, moved.address, sizeof(g->here));
    cg_log(CG_INFO, "this node has moved from %s to %s", g->left, g->here);
    if (secure_roster_add_node(&g->roster, &moved, &eb) != CG_OK) {
        cg_log(CG_WARN, "the roster does not take it: %s", eb.text);
        return;
    }
    g->address = g->here;
    drop_links(g);
    peers_try_all(g);
    cell_changed(g);
}
