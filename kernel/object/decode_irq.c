/* Decoding the invocations of interrupt lines and I/O ports. */
#include "object/decode.h"
#include "object/irq.h"

enum { A_NOTIFICATION = 1 };
enum { A_PORT = 1, A_BYTES, A_VALUE };

/* Binds the line, which is not bound, to the notification of slot s. */
/*@ WHOLE(requires, NIL)
    requires 1 <= i < I_MAX && is_home(s) && s_type[s] != 0 && s_type[IRQ_SLOT(i)] == 0;
    SLOT_FIELDS(assigns)
    ensures forest;
    ensures caps(NIL);
    ensures maps;
    HIDDEN(ensures)
    ensures going;
    ensures cnodes(NIL);
    ensures s_parent[IRQ_SLOT(i)] == s && i_pending[i] == 0; */
static void bind(uint32_t i, uint32_t s)
{
    irq_bind(i, s);
    /*@ assert objects: \forall integer x; is_slot(x) && x != IRQ_SLOT(i) ==>
            s_type[x] == \at(s_type[x],Pre) && s_object[x] == \at(s_object[x],Pre); */
}

uint32_t decode_irq(uint32_t label)
{
    bool bound = s_type[IRQ_SLOT(d_object)] != 0;
    if (label == INV_IRQ_BIND) {
        if (bound) {
            return refuse(ERR_BUSY, 0, 0);
        }
        bind(d_object, d_slot[A_NOTIFICATION - 1]);
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
        uint64_t values = bytes == 1 ? 0x100ULL : bytes == 2 ? 0x10000ULL : 0x100000000ULL;
        if (d_word[A_VALUE - 1] >= values) {
            return refuse(ERR_RANGE, A_VALUE, values);
        }
        arch_port_out(at, (uint32_t)bytes, (uint32_t)d_word[A_VALUE - 1]);
        return 0;
    }
    d_word[0] = arch_port_in(at, (uint32_t)bytes);
    d_answers = 1;
    return 0;
}
