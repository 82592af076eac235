/* Intrusive ring. A node that is in no list is a ring of itself, or zeroed and never touched. */
#include <cognu/base.h>

void cg_list_init(struct cg_list *head)
{
    head->next = head->prev = head;
}

bool cg_list_empty(const struct cg_list *head)
{
    return head->next == head;
}

static void insert_between(struct cg_list *n, struct cg_list *prev, struct cg_list *next)
{
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}

void cg_list_push(struct cg_list *head, struct cg_list *n)
{
    insert_between(n, head->prev, head);
}

void cg_list_push_front(struct cg_list *head, struct cg_list *n)
{
    insert_between(n, head, head->next);
}

void cg_list_del(struct cg_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    cg_list_init(n);
}
