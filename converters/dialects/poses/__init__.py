"""The files of pose tools: detections per frame, as the tools write them."""
