/* Interrupt lines: see irq.h. */
#include "object/irq.h"

uint8_t i_pending[I_MAX];

uint32_t irq_came(uint32_t i)
{
    i_pending[i] = 1;
    return IRQ_SLOT(i);
}

void irq_bind(uint32_t i, uint32_t s)
{
    cap_copy(s, IRQ_SLOT(i), RIGHTS_ALL, s_badge[s]);
    i_pending[i] = 0;
    arch_irq_unmask(i - 1);
}

void irq_unbound(uint32_t i)
{
    i_pending[i] = 0;
    arch_irq_mask(i - 1);
}

void irq_ack(uint32_t i)
{
    i_pending[i] = 0;
    arch_irq_unmask(i - 1);
}

bool irq_end(uint32_t i)
{
    if (s_type[IRQ_SLOT(i)] != 0) {
        cap_remove(IRQ_SLOT(i));
    }
    return true;
}
