/* dial: the namespaces' way to file servers. */
#include "adapter.h"

cg_err adapter_dial(void *ctx, const char *node, const char *service, const char *ticket,
                    const struct ninep_client_config *config, struct ninep_client **out,
                    struct cg_errbuf *eb)
{
    struct space *s = ctx;
    return secure_dial(s->adapter->dialer, node, service, ticket, config, out, eb);
}

void adapter_undial(void *ctx, struct ninep_client *c)
{
    struct space *s = ctx;
    secure_undial(s->adapter->dialer, c);
}
