/* Objects: see object.h. */
#include "object/object.h"

uint32_t owner[OBJECTS];

uint32_t own_base(uint8_t type)
{
    switch (type) {
    case OBJ_CNODE:
        return OWN_CNODE;
    case OBJ_THREAD:
        return OWN_THREAD;
    case OBJ_ENDPOINT:
        return OWN_ENDPOINT;
    case OBJ_NOTIFICATION:
        return OWN_NOTIFICATION;
    case OBJ_REPLY:
        return OWN_REPLY;
    case OBJ_CONTEXT:
        return OWN_CONTEXT;
    case OBJ_SPACE:
    case OBJ_TABLE:
    case OBJ_FRAME:
        return OWN_FRAME;
    case OBJ_IRQ:
        return OWN_IRQ;
    default:
        return OBJECTS;
    }
}
