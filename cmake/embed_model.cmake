# zhgpt_embed_model(target file): the checkpoint `file` inside `target`, which reads it by embedded_model()
# (include/zhgpt/embedded_model.h). The file may be one that a command of the same directory makes. One model a target.
set(ZHGPT_EMBEDDED_MODEL_TEMPLATE ${CMAKE_CURRENT_LIST_DIR}/embedded_model.cpp.in)

function(zhgpt_embed_model target file)
  get_filename_component(model ${file} ABSOLUTE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}_model.cpp)
  configure_file(${ZHGPT_EMBEDDED_MODEL_TEMPLATE} ${source} @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${model})
  target_sources(${target} PRIVATE ${source})
endfunction()
