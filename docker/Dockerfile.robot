# The robot computer: a real ROS 2, the nodes built by colcon, no torch and no simulator. Build from
# the root of the checkout; compose.yaml says how it is run:
#   docker build -f docker/Dockerfile.robot -t sim2arm-robot .
ARG DISTRIBUTION=jazzy
FROM ros:${DISTRIBUTION}-ros-base

WORKDIR /sim2arm
COPY docker docker
RUN docker/scripts/install_packages robot
RUN docker/scripts/create_user /sim2arm /data
COPY --chown=10001:10001 . .
USER 10001:10001
RUN docker/scripts/enter make robot
# What nodes keep (logs, flights of the gate) goes to a volume; all else may be read-only.
ENV ROS_HOME=/data RMW_IMPLEMENTATION=rmw_cyclonedds_cpp CYCLONEDDS_URI=file:///sim2arm/docker/cyclonedds.xml
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["docker/scripts/healthy", "gate_node"]
ENTRYPOINT ["docker/scripts/enter"]

CMD ["bash"]
