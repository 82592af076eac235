/* Fuzz target: any bytes are no node, or one whose edges, entries and text can be read to the end.
 */
#include "../../lib/store/store__.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cg_err count(void *aux, enum store_object kind, const struct store_score *child)
{
    (void)child;
    cg_assert(kind == STORE_DATA || kind == STORE_NODE);
    *(uint64_t *)aux += 1;
    return CG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_span bytes = {.data = data, .len = (uint32_t)size};
    struct cg_str text = {0};
    struct node n;
    struct store_entry e;
    uint64_t edges = 0;
    cg_err err = node_edges(bytes, count, &edges);
    cg_assert(err == CG_OK || err == CG_EBADFORMAT);
    cg_assert(edges <= 65535);
    node_dump(bytes, &text);
    cg_str_fini(&text);
    if (node_decode(bytes, &n) == CG_OK && n.type == NODE_DIR && n.level == 0) {
        while (node_next_entry(&n, &e)) {
            struct cg_span name, value, rest = e.xattrs;
            bool bad;
            cg_assert(cg_name_ok(e.name) && e.mode <= 07777);
            while (store_xattr_next(&rest, &name, &value, &bad)) {
                cg_assert(name.len > 0);
            }
            struct cg_str again = {0};
            cg_assert(entry_encode(&again, &e) == CG_OK); /* what was decoded can be written */
            cg_str_fini(&again);
        }
    }
    return 0;
}
