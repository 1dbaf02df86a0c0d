# Jansson, the one JSON library here: clmoe::model, the programs and the tests call it, the core does not.
find_path(CLMOE_JANSSON_INCLUDE jansson.h)
find_library(CLMOE_JANSSON_LIBRARY jansson)
mark_as_advanced(CLMOE_JANSSON_INCLUDE CLMOE_JANSSON_LIBRARY)
set(CLMOE_HAS_JANSSON OFF)
if(CLMOE_JANSSON_INCLUDE AND CLMOE_JANSSON_LIBRARY)
    set(CLMOE_HAS_JANSSON ON)
endif()
