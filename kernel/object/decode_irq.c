/* Decoding the invocations of interrupt lines and I/O ports. */
#include "object/decode.h"
#include "object/irq.h"

enum { A_NOTIFICATION = 1 };
enum { A_PORT = 1, A_BYTES, A_VALUE };

uint32_t decode_irq(uint32_t label)
{
    bool bound = s_type[IRQ_SLOT(d_object)] != 0;
    if (label == INV_IRQ_BIND) {
        if (bound) {
            return refuse(ERR_BUSY, 0, 0);
        }
        irq_bind(d_object, d_slot[A_NOTIFICATION - 1]);
        return 0;
    }
    if (!bound) {
        return refuse(ERR_ABSENT, 0, 0);
    }
    if (label == INV_IRQ_UNBIND) {
        cap_remove(IRQ_SLOT(d_object));
    } else {
        irq_ack(d_object);
    }
    return 0;
}

uint32_t decode_port(uint32_t label)
{
    uint64_t port = d_word[A_PORT - 1];
    uint64_t bytes = d_word[A_BYTES - 1];
    if (bytes != 1 && bytes != 2 && bytes != 4) {
        return refuse(ERR_RANGE, A_BYTES, 5);
    }
    if (port >= s_count[d_self] || bytes > s_count[d_self] - port) {
        return refuse(ERR_RANGE, A_PORT, s_count[d_self]);
    }
    uint32_t at = d_object + (uint32_t)port;
    if (label == INV_PORT_OUT) {
        if (d_word[A_VALUE - 1] > 0xffffffffULL >> (32 - 8 * bytes)) {
            return refuse(ERR_RANGE, A_VALUE, 1ULL << (8 * bytes));
        }
        arch_port_out(at, (uint32_t)bytes, (uint32_t)d_word[A_VALUE - 1]);
        return 0;
    }
    d_word[0] = arch_port_in(at, (uint32_t)bytes);
    d_answers = 1;
    return 0;
}
